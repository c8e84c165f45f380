"""The calls of a run that ``calls`` measures."""

import logging
from collections.abc import Callable

from otel_setup.runs import Execution, run


def run_calls(execution: Execution) -> dict[str, Callable[[int], None]]:
    """Functions by name, each within ``execution``, called with a running number."""
    logger = logging.getLogger("orders")

    def new_run(number: int) -> None:
        with run("nightly", total_atms=number):
            pass

    def new_phase(number: int) -> None:
        with execution.phase("details"):
            pass

    def terminal(number: int) -> None:
        with execution.terminal("T1", region_code="north"):
            pass

    def log(number: int) -> None:
        logger.info("terminal %d read", number)

    def results(number: int) -> None:
        execution.set(connection_status="established", regional_records_processed=number)

    def processed(number: int) -> None:
        execution.processed("terminal_details")

    return {
        "run": new_run,
        "run: phase": new_phase,
        "run: terminal": terminal,
        "run: logger.info": log,
        "run: set": results,
        "run: processed": processed,
    }

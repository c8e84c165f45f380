"""The pipeline calls that ``calls`` measures."""

import uuid
from collections.abc import Callable
from typing import Final

from otel_setup import pipelines

_EXPERIMENT: Final = str(uuid.uuid5(uuid.NAMESPACE_URL, "bench"))


def pipeline_calls() -> dict[str, Callable[[int], None]]:
    """Functions by name, called with a running number. ``step`` includes its start and end."""
    logger = pipelines.get_structured_logger("trainer")
    experiment = pipelines.LoggingContext(_EXPERIMENT, "bench")

    def context(number: int) -> None:
        with pipelines.LoggingContext(_EXPERIMENT, "bench", f"node {number % 8}"):
            pass

    def log(number: int) -> None:
        logger.info("rows loaded", rows=number, performance={"duration_ms": 2.5})

    def progress(number: int) -> None:
        pipelines.record_progress("load", done=number, total=1000, experiment_id=_EXPERIMENT)

    def event(number: int) -> None:
        pipelines.pipeline_event("checkpoint", "saved", details={"epoch": number}, experiment_id=_EXPERIMENT)

    def step(number: int) -> None:
        with experiment, pipelines.step("fold", fold=number):
            pass

    def metric(number: int) -> None:
        pipelines.metric("loss", number)

    return {
        "context": context,
        "structured": log,
        "progress": progress,
        "event": event,
        "step": step,
        "metric": metric,
    }

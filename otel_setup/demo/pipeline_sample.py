"""A small experiment as test data: ``python -m otel_setup.demo.pipeline_sample ENDPOINT EXPERIMENT_ID``.

Sends phases (one fails), logs, events and metrics; prints as JSON how many items of each signal were sent.
"""

import contextlib
import json
import logging
import sys

from otel_setup import configure_telemetry, shutdown_telemetry
from otel_setup.pipelines.events import pipeline_event
from otel_setup.pipelines.logger import get_structured_logger
from otel_setup.pipelines.measure import metric
from otel_setup.pipelines.nodes import phase, pipeline, step
from otel_setup.pipelines.sampler import ResourceSampler


def run(experiment_id: str) -> None:
    """Runs the experiment, including a phase that fails on purpose."""
    log = get_structured_logger("sample.pipeline")
    with pipeline("sample", experiment_id, "test data", parts=3), ResourceSampler(60):
        pipeline_event("pipeline_started", "a sample pipeline", details={"phases": 3})
        with phase("load", units=100, unit="row") as load:
            for done in (25, 50, 75, 100):
                load.update(done=done)
                log.info("rows loaded", rows=done, performance={"duration_ms": done * 0.4})
            metric("throughput", 250.0, "{row}/s")
        with phase("fit", parts=2):
            with step("fold 1"):
                log.info("fitted", fold=1)
                metric("loss", 0.31)
            with step("fold 2"):
                log.warning("memory is short", fold=2, free_mb=31)
                metric("loss", 0.27)
        with contextlib.suppress(MemoryError), phase("export"):
            try:
                _export()
            except MemoryError:
                log.exception("export failed", shards=3)
                raise


def _export() -> None:
    raise MemoryError("not enough memory for 3 shards")


def _main() -> None:
    endpoint, experiment_id = sys.argv[1:]
    # Log records go to the database only: stderr is for errors.
    logging.getLogger().addHandler(logging.NullHandler())
    telemetry = configure_telemetry("otelgres-test-data", endpoint=endpoint, spool=False, fallback=("stderr",))
    run(experiment_id)
    shutdown_telemetry(20)
    print(
        json.dumps(
            {
                signal: dispositions["sent"]
                for signal, dispositions in telemetry.stats().items()
                if "sent" in dispositions
            }
        )
    )


if __name__ == "__main__":
    _main()

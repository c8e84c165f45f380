"""A pipeline that records its progress: `python docs/examples/pipeline.py`, with a receiver running.

Prints the progress and errors, from SQL, if OTELGRES_DSN is set to the database.
"""

import contextlib
import os
import uuid

import psycopg

from otel_setup import configure_telemetry, shutdown_telemetry
from otel_setup.pipelines import (
    LoggingContext,
    ResourceSampler,
    get_structured_logger,
    metric,
    phase,
    pipeline,
    pipeline_event,
    step,
)

log = get_structured_logger("clusters")


@step("read tiles", units=4, unit="tile")
def read_tiles() -> int:
    """Reads the tiles."""
    with log.timed("tiles read", source="disk"):
        return 4


@phase("cluster", parts=2)
def cluster(tiles: int) -> None:
    """Two folds, each a step."""
    for fold in (1, 2):
        with step(f"fold {fold}", units=tiles, unit="tile") as node:
            for _ in range(tiles):
                node.advance()
            metric("silhouette", 0.6 + fold / 100)
            log.info("fold done", fold=fold, performance={"tiles": tiles})


@phase("publish")
def publish() -> None:
    """Fails, as an example."""
    raise MemoryError("not enough memory for the map")


def main() -> None:
    """Runs the pipeline and prints its rows."""
    experiment = uuid.uuid4()
    configure_telemetry(service_name="clusters")
    with (
        LoggingContext(experiment, "geo clusters", region="north"),
        pipeline("geo", parts=3),
        ResourceSampler(5),
    ):
        pipeline_event("started", "a new run", details={"tiles": 4})
        with phase("load"):
            tiles = read_tiles()
        cluster(tiles)
        with contextlib.suppress(MemoryError):
            publish()
    shutdown_telemetry()
    if dsn := os.environ.get("OTELGRES_DSN"):
        show(dsn, experiment)


def show(dsn: str, experiment: uuid.UUID) -> None:
    """The queries of an application that had its own monitoring tables."""
    with psycopg.connect(dsn, options="-c search_path=compat,public") as connection:
        print("progress")
        query = "SELECT tree, status, progress_percent FROM get_progress_tree(%s::uuid)"
        for tree, status, percent in connection.execute(query, [experiment]):
            print(f"  {tree:<16} {status:<10} {percent:5.1f} %")
        print("errors")
        query = "SELECT level, message, context ->> 'region' FROM get_experiment_logs(%s::uuid, p_search := 'read')"
        for row in connection.execute(query, [experiment]):
            print(" ", *row)
        query = "SELECT error_type, error_count, nodes FROM get_error_summary(%s::uuid)"
        for row in connection.execute(query, [experiment]):
            print(" ", *row)
        print("resources")
        query = (
            "SELECT DISTINCT metric_type, metric_name FROM pipeline_metrics WHERE experiment_id = %s "
            "AND metric_type <> 'throughput' ORDER BY 1, 2"
        )
        for row in connection.execute(query, [experiment]):
            print(" ", *row)


if __name__ == "__main__":
    main()

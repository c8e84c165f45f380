"""Fuzzed requests into a real PostgreSQL, in groups with good ones: ``python -m tests.fuzz.rows [INPUTS]``.

Whatever is in a group, each request is accepted or invalid, none has to come back, and every good span is there.
"""

import random
import sys
import uuid
from collections import Counter

import psycopg
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelgres.collector.embedded import Login
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outcome import Accepted, Invalid
from otelgres.exporters.postgres.writer import PostgresWriter
from otelgres.sql.migrate import migrate
from tests import postgres
from tests.fuzz import corpus, mutate

_GROUP = 40


def fuzz_rows(dsn: str, inputs: int, seed: int) -> Counter[str]:
    """What was answered. Raises AssertionError with the input."""
    rng = random.Random(seed)
    writer = PostgresWriter(dsn)
    pools = {signal: [payload] for signal, payload in corpus.REQUESTS.items()}
    answers: Counter[str] = Counter()
    good: list[uuid.UUID] = []
    for _ in range(0, inputs, _GROUP):
        batches = []
        for _ in range(_GROUP):
            signal = rng.choice(list(Signal))
            batches.append(Batch(signal, mutate.wire(rng.choice(pools[signal]), pools[signal], rng)))
        flow = uuid.UUID(int=rng.getrandbits(128))
        batches.insert(rng.randrange(_GROUP), _good(flow))
        good.append(flow)
        for batch, outcome in zip(batches, writer.write(batches), strict=True):
            assert isinstance(outcome, Accepted | Invalid), f"{batch.signal} {outcome}: {batch.payload.hex()}"
            answers[type(outcome).__name__] += 1
            if isinstance(outcome, Accepted) and rng.random() < 0.05:
                pools[batch.signal] = [*pools[batch.signal][-60:], batch.payload]
    writer.close()
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT count(DISTINCT flow_id) FROM otel.spans WHERE flow_id = ANY (%s)", [good]
        ).fetchone()
        assert row == (len(good),), "a neighbour is missing"
        # What was stored can be read.
        for view in ("spans", "logs", "metric_points", "flows", "checkpoints", "losses"):
            connection.execute(f"SELECT * FROM otel.{view}".encode()).fetchall()
    return answers


def _good(flow: uuid.UUID) -> Batch:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(
        trace_id=flow.bytes,
        span_id=b"goodgood",
        name="good",
        start_time_unix_nano=corpus.NOW,
        end_time_unix_nano=corpus.NOW,
    )
    return Batch(Signal.TRACES, request.SerializeToString())


if __name__ == "__main__":
    with postgres.fast_cluster(postgres.version(None)) as cluster:
        migrate(cluster.dsn(Login.OWNER))
        print(dict(fuzz_rows(cluster.dsn(Login.OWNER), int(sys.argv[1]) if len(sys.argv) > 1 else 10000, 1)))

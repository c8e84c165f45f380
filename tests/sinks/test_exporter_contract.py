"""What every sink promises, run on every sink: spool, console, OTLP over both transports, PostgreSQL, the chain.

A case is a sink that works, what came out of it, and the same sink with the world behind it gone.
"""

import io
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.chain import Chain, Exporter, is_retryable
from otelgres.exporters.console import ConsoleExporter
from otelgres.exporters.otlp import OtlpExporter
from otelgres.exporters.outcome import Accepted, Invalid, Outcome, Overloaded, TooLarge, Unavailable
from otelgres.exporters.postgres.writer import PostgresWriter
from otelgres.exporters.spool.exporter import SpoolExporter
from otelgres.exporters.spool.files import open_file, spool_files
from otelgres.exporters.target import Protocol, Target
from tests.library.otlp_receiver import Receiver

NOW = 1_790_000_000_000_000_000
GARBAGE = Batch(Signal.LOGS, b"\xff\xff not protobuf")


@dataclass
class Case:
    """``names`` are the span names, bodies and metric names that came out; None where garbage is not looked into."""

    sink: Exporter
    names: Callable[[], list[str]]
    broken: Exporter
    decodes: bool = True


def logs(*bodies: str) -> Batch:
    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for body in bodies:
        record = records.add(time_unix_nano=NOW, severity_number=9)
        record.body.string_value = body
        uid = record.attributes.add(key="log.record.uid")
        uid.value.string_value = f"uid-of-{body}"
    return Batch(Signal.LOGS, request.SerializeToString())


def spans(*names: str) -> Batch:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number, name in enumerate(names, 1):
        scope.spans.add(
            name=name,
            trace_id=name.encode().ljust(16, b"_")[:16],
            span_id=number.to_bytes(8),
            start_time_unix_nano=NOW,
            end_time_unix_nano=NOW + 1,
        )
    return Batch(Signal.TRACES, request.SerializeToString())


def points(name: str) -> Batch:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name=name)
    metric.gauge.data_points.add(time_unix_nano=NOW, as_int=3)
    return Batch(Signal.METRICS, request.SerializeToString())


def names_of(batch: Batch) -> list[str]:
    if batch.signal is Signal.LOGS:
        logs = ExportLogsServiceRequest.FromString(batch.payload)
        return [r.body.string_value for g in logs.resource_logs for s in g.scope_logs for r in s.log_records]
    if batch.signal is Signal.TRACES:
        spans = ExportTraceServiceRequest.FromString(batch.payload)
        return [span.name for g in spans.resource_spans for s in g.scope_spans for span in s.spans]
    metrics = ExportMetricsServiceRequest.FromString(batch.payload)
    return [metric.name for g in metrics.resource_metrics for s in g.scope_metrics for metric in s.metrics]


@contextmanager
def spool_case(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Case]:
    sink = SpoolExporter(tmp_path / "spool")

    def names() -> list[str]:
        sink.close()
        found: list[str] = []
        for path in spool_files(tmp_path / "spool"):
            file = open_file(path)
            assert file is not None
            with file:
                batches = [file.read(entry) for entry in file.pending()]
            found += [name for batch in batches if batch and batch != GARBAGE for name in names_of(batch)]
        return found

    blocker = tmp_path / "a file"
    blocker.write_text("in the way")
    yield Case(sink, names, SpoolExporter(blocker / "spool"), decodes=False)


class ClosedConsole(ConsoleExporter):
    """Its stream is closed while it writes."""

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        closed = io.StringIO()
        closed.close()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stderr", closed)
            return super().write(batches)


@contextmanager
def console_case(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Case]:
    capfd = request.getfixturevalue("capfd")

    def names() -> list[str]:
        text = capfd.readouterr().out
        return [name for name in ("one", "two", "three", "four") for _ in range(text.count(f" {name}"))]

    yield Case(ConsoleExporter("stdout"), names, ClosedConsole("stderr"))


def otlp_target(signal: Signal, protocol: Protocol, port: int) -> Target:
    endpoint = f"http://127.0.0.1:{port}"
    return Target(
        protocol=protocol,
        endpoint=endpoint if protocol == "grpc" else f"{endpoint}/v1/{signal.value}",
        insecure=True, loopback=True, headers={}, timeout=5.0, compression="gzip",
    )  # fmt: skip


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def otlp_case(protocol: Protocol) -> Iterator[Case]:
    with Receiver() as receiver:
        port = receiver.grpc_port if protocol == "grpc" else receiver.http_port

        def names() -> list[str]:
            return [
                name
                for signal, message, _ in receiver.received
                for name in names_of(Batch(Signal(signal), message.SerializeToString()))
            ]

        sink = OtlpExporter({signal: otlp_target(signal, protocol, port) for signal in Signal})
        broken = OtlpExporter({signal: otlp_target(signal, protocol, unused_port()) for signal in Signal})
        yield Case(sink, names, broken)
        sink.close()


@contextmanager
def grpc_case(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Case]:
    with otlp_case("grpc") as case:
        yield case


@contextmanager
def http_case(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Case]:
    with otlp_case("http/protobuf") as case:
        yield case


@contextmanager
def postgres_case(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Case]:
    dsn: str = request.getfixturevalue("database")
    writer = PostgresWriter(dsn, past_days=100_000, future_days=100_000)

    def names() -> list[str]:
        with psycopg.connect(dsn) as connection:
            return [
                name
                for query in (
                    "SELECT body FROM otel.logs",
                    "SELECT name FROM otel.spans",
                    "SELECT metric_name FROM otel.metric_points",
                )
                for (name,) in connection.execute(query.encode()).fetchall()
            ]

    yield Case(writer, names, PostgresWriter(f"postgresql://nobody@127.0.0.1:{unused_port()}/nowhere"))
    writer.close()


@contextmanager
def chain_case(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Case]:
    with spool_case(tmp_path, request) as case:
        yield Case(
            Chain({"away": case.broken, "spool": case.sink}),
            case.names,
            Chain({"away": case.broken}),
            decodes=False,
        )


CASES = {
    "spool": spool_case, "console": console_case, "grpc": grpc_case, "http": http_case, "postgres": postgres_case,
    "chain": chain_case,
}  # fmt: skip


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    with CASES[request.param](tmp_path, request) as made:
        yield made


def test_all_three_signals_come_out_once_and_each_batch_has_its_answer(case: Case) -> None:
    outcomes = case.sink.write([logs("one", "two"), spans("three"), points("four")])

    assert [type(outcome) for outcome in outcomes] == [Accepted] * 3
    assert sorted(case.names()) == ["four", "one", "three", "two"]


def test_nothing_and_empty_requests_are_taken(case: Case) -> None:
    assert case.sink.write([]) == []
    assert case.sink.write([Batch(Signal.LOGS, b"")]) == [Accepted()]


def test_malformed_requests_are_permanent_errors_and_affect_no_other_request(case: Case) -> None:
    outcomes = case.sink.write([logs("one"), GARBAGE, logs("two")])

    assert [type(outcome) for outcome in (outcomes[0], outcomes[2])] == [Accepted, Accepted]
    # What only keeps bytes keeps these, too: the receiver says what they are.
    assert isinstance(outcomes[1], (Invalid | TooLarge) if case.decodes else Accepted)
    assert sorted(case.names()) == ["one", "two"]


def test_close_can_be_called_twice_and_a_later_write_opens_again(case: Case) -> None:
    case.sink.write([logs("one")])
    case.sink.close()
    case.sink.close()

    assert case.sink.write([logs("two")]) == [Accepted()]
    case.sink.close()


def test_an_unreachable_target_makes_every_batch_retryable_and_raises_nothing(case: Case) -> None:
    outcomes = case.broken.write([logs("one"), spans("two")])

    assert [is_retryable(outcome) for outcome in outcomes] == [True, True]
    assert all(outcome.message for outcome in outcomes)
    case.broken.close()


def test_a_chain_tries_the_next_exporter_and_reports_each_step() -> None:
    class Step:
        def __init__(self, *answers: Outcome) -> None:
            self.answers = answers
            self.given: list[Batch] = []

        def write(self, batches: list[Batch]) -> list[Outcome]:
            self.given += batches
            return list(self.answers)

        def close(self) -> None:
            """Nothing."""

    class Raising(Step):
        def write(self, batches: list[Batch]) -> list[Outcome]:
            raise RuntimeError("boom")

    first, second, third = logs("one"), logs("two"), logs("three")
    away, full = Unavailable(1, "away"), Overloaded(1, "full")
    steps = {
        "a": Step(Accepted(), away, Invalid("no")),
        "b": Raising(),
        "c": Step(full),
        "d": Step(Accepted(1, "part")),
    }
    reported: list[tuple[str, str]] = []

    chain = Chain(steps, lambda step, batch, outcome: reported.append((step, type(outcome).__name__)))  # type: ignore[arg-type]

    assert chain.write([first, second, third]) == [Accepted(), Accepted(1, "part"), Invalid("no")]
    assert [len(step.given) for step in steps.values()] == [3, 0, 1, 1]
    assert reported == [
        ("a", "Accepted"), ("a", "Unavailable"), ("a", "Invalid"), ("b", "Unavailable"), ("c", "Overloaded"),
        ("d", "Accepted"),
    ]  # fmt: skip


def test_lines_on_the_console_stay_lines_and_cannot_steer_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    ConsoleExporter("stdout").write([logs("two\nlines \x1b[31mred\x07", "x" * 10_000), spans("a span")])

    printed = capfd.readouterr().out.splitlines()
    assert len(printed) == 3
    assert "two\\nlines \\x1b[31mred\\x07" in printed[0]
    assert len(printed[1]) < 2_100
    assert " SPAN - a span 0.000ms trace=" in printed[2]

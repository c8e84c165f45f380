"""Latency from an acknowledgement until ``otelgres tail`` prints the record.

Receiver and tail are separate processes; the sender is this one.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

import orjson
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from otelgres.collector.tools.bench.latency import Latency, summed_up
from otelgres.collector.tools.bench.processes import ProcessError, Worker, receiver, worker
from otelgres.collector.tools.bench.server import Server
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.otlp import OtlpExporter
from otelgres.exporters.otlp_endpoint import target
from otelgres.exporters.outcome import Accepted

_LAST_SECONDS: Final = 30.0
_ANSWER_SECONDS: Final = 10.0


class _Lines:
    """The output of tail: body -> time at which its line was read."""

    def __init__(self, tail: Worker) -> None:
        self.seen: dict[str, float] = {}
        self.some = threading.Event()
        threading.Thread(target=self._read, args=(tail,), daemon=True).start()

    def _read(self, tail: Worker) -> None:
        try:
            while True:
                line = tail.line()
                now = time.perf_counter()
                self.seen[orjson.loads(line)["body"]] = now
                self.some.set()
        except ProcessError:
            # The process was stopped at the end of the measurement.
            return


def measure(
    server: Server, rate: float, seconds: float, advance: Callable[[float], None] = lambda amount: None
) -> Latency:
    """Sends ``rate`` requests with one record each per second for ``seconds``. Raises ProcessError."""
    acked: dict[str, float] = {}
    with server.fresh_database() as dsn, receiver(dsn) as there:
        command = ("-c", "import otelgres.collector.cli; otelgres.collector.cli.main()", "tail", "logs", "--json")
        with worker("tail", *command, environ={"PYTHONUNBUFFERED": "1", "OTELGRES_DSN": dsn}) as tail:
            lines = _Lines(tail)
            exporter = OtlpExporter({Signal.LOGS: target(Signal.LOGS, there.http, there.grpc, _ANSWER_SECONDS)})
            try:
                _until_received(exporter, lines)
                begin = time.monotonic()
                for number in range(round(rate * seconds)):
                    time.sleep(max(0.0, begin + number / rate - time.monotonic()))
                    body = f"record {number}"
                    _send(exporter, body)
                    acked[body] = time.perf_counter()
                    advance(1 / rate)
                deadline = time.monotonic() + _LAST_SECONDS
                while acked.keys() - lines.seen.keys() and time.monotonic() < deadline:
                    time.sleep(0.05)
            finally:
                exporter.close()
                tail.stop()
        # A line may arrive before the acknowledgement; its latency is 0.
        waits = [max(0.0, 1000 * (lines.seen[body] - at)) for body, at in acked.items() if body in lines.seen]
    return summed_up(len(acked), waits)


def _until_received(exporter: OtlpExporter, lines: _Lines) -> None:
    deadline = time.monotonic() + _LAST_SECONDS
    while not lines.some.is_set():
        if time.monotonic() > deadline:
            raise ProcessError("tail printed nothing")
        _send(exporter, "ready?")
        lines.some.wait(0.2)


def _send(exporter: OtlpExporter, body: str) -> None:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=time.time_ns())
    record.body.string_value = body
    (outcome,) = exporter.write([Batch(Signal.LOGS, request.SerializeToString())])
    if not isinstance(outcome, Accepted):
        raise ProcessError(f"the receiver did not accept a record: {outcome.message}")

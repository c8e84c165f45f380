"""An exporter that sends batches to an OTLP receiver, over gRPC or HTTP, and returns its answers.

The bytes of a batch are sent unchanged, so that the receiver can recognise a retried request by its bytes. Each batch
is tried once; the caller decides when to retry.
"""

import gzip
import importlib
import importlib.metadata
import zlib
from collections.abc import Mapping
from typing import Final

from otelgres.exporters.background import BackgroundExporter, Transport
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.otlp_status import RETRY_AFTER, of_grpc, of_http, taken
from otelgres.exporters.outcome import Outcome, Unavailable
from otelgres.exporters.target import Protocol, Target

_METHODS: Final = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
# The maximum size of a response that the protocol recommends.
_RESPONSE_BYTES: Final = 4 * 1024 * 1024


class OtlpExporter(BackgroundExporter):
    """Sends to ``targets``. For one thread at a time, except ``abort``.

    After a fork, create a new one and keep a reference to the old.
    """

    def __init__(self, targets: Mapping[Signal, Target]) -> None:
        known = dict(targets)

        def connect(signal: Signal) -> Transport:
            return (_Grpc if known[signal].protocol == "grpc" else _Http)(known[signal])

        super().__init__("otlp", {signal: target.timeout for signal, target in known.items()}, connect)


def import_transport(protocol: Protocol) -> None:
    """Imports what exporters of ``protocol`` need.

    For the thread that sets up: if a thread imported it at first use, a child that is forked meanwhile could never
    import it.
    """
    importlib.import_module("otelgres.exporters.grpc.client" if protocol == "grpc" else "requests")


class _Grpc(Transport):
    def __init__(self, target: Target) -> None:
        from otelgres.exporters.grpc.client import GrpcClient  # late: not needed for HTTP

        self._timeout = target.timeout
        self._client = GrpcClient(target, f"otelgres/{version()}")

    def send(self, batch: Batch) -> Outcome:
        reply = self._client.unary(_METHODS[batch.signal], batch.payload, self._timeout)
        if reply.code == "OK":
            return taken(batch.signal, reply.body)
        return of_grpc(reply.code, reply.details, reply.trailers)

    def close(self) -> None:
        self._client.close()

    def interrupt(self) -> None:
        self._client.close()


class _Http(Transport):
    def __init__(self, target: Target) -> None:
        import requests  # late: not needed for gRPC

        self._target = target
        self._failure = requests.exceptions.ConnectionError
        self._session = requests.Session()
        # Proxy settings and .netrc must not be used for the loopback interface.
        self._session.trust_env = not target.loopback
        if target.certificate:
            self._session.verify = target.certificate
        if target.client_certificate:
            both = (target.client_certificate, target.client_key) if target.client_key else target.client_certificate
            self._session.cert = both
        self._headers = {
            **target.headers,
            "Content-Type": "application/x-protobuf",
            "User-Agent": f"otelgres/{version()}",
            **({} if target.compression == "none" else {"Content-Encoding": target.compression}),
        }

    def send(self, batch: Batch) -> Outcome:
        data = batch.payload
        if self._target.compression == "gzip":
            data = gzip.compress(data, 6, mtime=0)
        elif self._target.compression == "deflate":
            data = zlib.compress(data)
        try:
            return self._post(batch.signal, data)
        except self._failure:
            # Usually a kept-alive connection that the server has closed: try once more on a new one.
            try:
                return self._post(batch.signal, data)
            except self._failure as error:
                return Unavailable(RETRY_AFTER, _reason(error))

    def close(self) -> None:
        self._session.close()

    def _post(self, signal: Signal, data: bytes) -> Outcome:
        with self._session.post(
            self._target.endpoint,
            data=data,
            headers=self._headers,
            timeout=self._target.timeout,
            allow_redirects=False,
            stream=True,
        ) as response:
            body = response.raw.read(_RESPONSE_BYTES, decode_content=True)
            return of_http(signal, response.status_code, response.headers, body)


def version() -> str:
    """The version of otelgres, for the user agent."""
    try:
        return importlib.metadata.version("otelgres")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _reason(error: BaseException) -> str:
    """The message of the innermost cause: the outer exceptions repeat the address three times."""
    while isinstance(inner := getattr(error, "reason", None) or (error.args[0] if error.args else None), BaseException):
        error = inner
    return str(error)

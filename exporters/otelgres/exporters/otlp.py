"""An exporter that sends batches to an OTLP receiver, over gRPC or HTTP, and returns its answers.

The bytes of a batch are sent unchanged, so that the receiver can recognise a retried request by its bytes. Each batch
is tried once; the caller decides when to retry.
"""

import gzip
import importlib.metadata
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from otelgres.exporters.background import BackgroundExporter, Transport
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.otlp_status import RETRY_AFTER, of_grpc, of_http, taken
from otelgres.exporters.outcome import Outcome, Unavailable
from otelgres.exporters.target import Target

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


class _Grpc:
    def __init__(self, target: Target) -> None:
        self._target = target
        self._channel: Any = None

    def send(self, batch: Batch) -> Outcome:
        import grpc  # type: ignore[import-untyped]  # late: importing takes 0.1 s, which HTTP does not need

        if self._channel is None:
            self._channel = self._open(grpc)
        call = self._channel.unary_unary(_METHODS[batch.signal])
        try:
            body = call(batch.payload, timeout=self._target.timeout, metadata=tuple(self._target.headers.items()))
        except grpc.RpcError as error:
            code = error.code().name
            if code == "UNAVAILABLE":
                # A failed channel backs off before it reconnects; a new one connects at once.
                self.close()
            return of_grpc(code, str(error.details()), dict(error.trailing_metadata() or ()))
        return taken(batch.signal, body)

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _open(self, grpc: Any) -> Any:
        target = self._target
        options = [
            ("grpc.primary_user_agent", f"otelgres/{version()}"),
            ("grpc.use_local_subchannel_pool", 1),
            # Without this, http_proxy would also be used for the loopback interface.
            *([("grpc.enable_http_proxy", 0)] if target.loopback else []),
        ]
        compression = grpc.Compression.Gzip if target.compression == "gzip" else grpc.Compression.NoCompression
        address = target.endpoint.partition("://")[2].partition("/")[0] or target.endpoint
        if target.insecure:
            return grpc.insecure_channel(address, options, compression)
        credentials = grpc.ssl_channel_credentials(
            root_certificates=_read(target.certificate),
            private_key=_read(target.client_key),
            certificate_chain=_read(target.client_certificate),
        )
        return grpc.secure_channel(address, credentials, options, compression)


class _Http:
    def __init__(self, target: Target) -> None:
        import requests  # late, as grpc above

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


def _read(path: str | None) -> bytes | None:
    return Path(path).read_bytes() if path else None


def _reason(error: BaseException) -> str:
    """The message of the innermost cause: the outer exceptions repeat the address three times."""
    while isinstance(inner := getattr(error, "reason", None) or (error.args[0] if error.args else None), BaseException):
        error = inner
    return str(error)

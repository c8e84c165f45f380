"""Checks of the listeners: ports, TLS, tokens, and a test span sent over each protocol and read back."""

import http.client
import os
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otelgres.collector.inspect.diagnose import Context, Finding, broken, fine, warning
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.otlp import OtlpExporter
from otelgres.exporters.otlp_endpoint import headers, target
from otelgres.exporters.otlp_json import request_to_json
from otelgres.exporters.outcome import Accepted

SERVICE: Final = "otelgres.diagnose"
_POLL_SECONDS: Final = 0.05
_ADD_HEADER: Final = 'set OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20<token>"; `otelgres token new` creates one'


def ports(context: Context) -> Iterator[Finding]:
    """Checks that the ports are open and use TLS or not as expected."""
    for name, address in (("OTLP/gRPC", context.grpc), ("OTLP/HTTP", context.http)):
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        try:
            with socket.create_connection((host, port), context.seconds) as connection:
                if parts.scheme == "https":
                    with _tls().wrap_socket(connection, server_hostname=host) as secured:
                        yield from _expiry(name, secured)
        except ssl.SSLCertVerificationError as error:
            yield broken(
                "ports",
                f"{name} at {host}:{port}: {error.verify_message}",
                "set OTEL_EXPORTER_OTLP_CERTIFICATE to the CA's certificate, or use the host name in the certificate",
            )
        except ssl.SSLError as error:
            yield broken(
                "ports",
                f"{name} at {host}:{port} does not use TLS ({error.reason})",
                "use http:// instead of https://, or set tls_cert and tls_key for the receiver",
            )
        except OSError as error:
            yield broken(
                "ports",
                f"no answer from {name} at {host}:{port} ({error.strerror or error})",
                "start the receiver (`otelgres up` or `otelgres serve`), or set its addresses with --http and --grpc",
            )
        else:
            yield fine("ports", f"{name} at {host}:{port} answers")


def _tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=os.environ.get("OTEL_EXPORTER_OTLP_CERTIFICATE") or None)


def _expiry(name: str, secured: ssl.SSLSocket) -> Iterator[Finding]:
    certificate = secured.getpeercert() or {}
    ends = certificate.get("notAfter")
    if isinstance(ends, str):
        days = (ssl.cert_time_to_seconds(ends) - time.time()) / 86400
        if days < 14:
            yield warning(
                "ports",
                f"the certificate of {name} expires in {days:.0f} days",
                "replace tls_cert and tls_key; the receiver reloads them",
            )


def test_flow(context: Context) -> Iterator[Finding]:
    """Sends a span over each protocol; checks that it is acknowledged and stored in the database."""
    for name, send in (("gRPC", _by_grpc), ("HTTP/protobuf", _by_http), ("HTTP/JSON", _by_json)):
        trace_id = secrets.token_bytes(16)
        request = ExportTraceServiceRequest()
        spans = request.resource_spans.add()
        attribute = spans.resource.attributes.add(key="service.name")
        attribute.value.string_value = SERVICE
        now = time.time_ns()
        spans.scope_spans.add().spans.add(
            trace_id=trace_id,
            span_id=secrets.token_bytes(8),
            name=f"diagnose {name}",
            kind=1,
            start_time_unix_nano=now,
            end_time_unix_nano=now + 1_000_000,
        )
        began = time.monotonic()
        refusal = send(context, request.SerializeToString())
        if refusal:
            yield _refused(name, refusal)
            continue
        acked = time.monotonic()
        if context.connection is None:
            yield warning(
                "test flow",
                f"{name} acknowledged a span; without the database its storage cannot be checked",
                "make the database reachable from here, or set --dsn",
            )
        elif _found(context, trace_id.hex(), context.seconds):
            ms = 1000 * (acked - began)
            yield fine("test flow", f"{name}: sent, acknowledged in {ms:.0f} ms, and found")
        else:
            yield broken(
                "test flow",
                f"{name} acknowledged a span that is not in this database",
                "the receiver stores elsewhere or has it in its spool: compare the DSNs, see `otelgres status`",
            )


def _refused(name: str, reason: str) -> Finding:
    lower = reason.lower()
    if "token" in lower or "401" in lower or "403" in lower or "unauthenticated" in lower:
        return broken("test flow", f"{name} requires a valid token: {reason}", _ADD_HEADER)
    return broken(
        "test flow",
        f"{name} did not accept a span: {reason}",
        "see the receiver's log for the reason and `otelgres status` for the counts",
    )


def _by_grpc(context: Context, payload: bytes) -> str:
    return _by_exporter(context, payload, context.grpc)


def _by_http(context: Context, payload: bytes) -> str:
    return _by_exporter(context, payload, None)


def _by_exporter(context: Context, payload: bytes, grpc: str | None) -> str:
    try:
        exporter = OtlpExporter({Signal.TRACES: target(Signal.TRACES, context.http, grpc, context.seconds)})
    except ValueError as error:
        return str(error)
    try:
        (outcome,) = exporter.write([Batch(Signal.TRACES, payload)])
    finally:
        exporter.close()
    if isinstance(outcome, Accepted) and not outcome.rejected:
        return ""
    return outcome.message or type(outcome).__name__


def _by_json(context: Context, payload: bytes) -> str:
    parts = urlsplit(context.http)
    secure = parts.scheme == "https"
    connection = (
        http.client.HTTPSConnection(parts.netloc, timeout=context.seconds, context=_tls())
        if secure
        else http.client.HTTPConnection(parts.netloc, timeout=context.seconds)
    )
    try:
        given = headers(os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", ""))
        body = request_to_json(Signal.TRACES, payload)
        connection.request(
            "POST", f"{parts.path.rstrip('/')}/v1/traces", body, {"Content-Type": "application/json", **given}
        )
        answer = connection.getresponse()
        text = answer.read(4096).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return str(error)
    finally:
        connection.close()
    return "" if answer.status == http.client.OK else f"{answer.status} {text[:200]}"


def _found(context: Context, trace_id: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    is_stored = _stored_check(context, trace_id)
    while not is_stored():
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(_POLL_SECONDS)
    return True


def _stored_check(context: Context, trace_id: str) -> Callable[[], bool]:
    connection = context.connection
    assert connection is not None
    query = "SELECT 1 FROM otel.spans WHERE flow_id = %s::uuid AND start_time > now() - interval '1 hour'"
    return lambda: connection.execute(query, [trace_id]).fetchone() is not None

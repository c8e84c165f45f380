"""Resolves arguments and environment variables to settings, with one target per signal. Arguments take precedence.

No I/O and no errors: an invalid value takes its default and adds a warning.
"""

import logging
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from otel_setup.api.values import text
from otel_setup.config.database import resolve_database
from otel_setup.config.processing import PREFIX, ProcessingSettings, resolve_processing
from otelgres.exporters.batch import Signal
from otelgres.exporters.grpc.metadata import is_sendable
from otelgres.exporters.target import Compression, Database, Protocol, Target, is_loopback

DEFAULT_EXPORT_TIMEOUT = 10.0
DEFAULT_SHUTDOWN_TIMEOUT = 5.0
DEFAULT_METRIC_INTERVAL = 60.0
DEFAULT_REPORT_INTERVAL = 15.0
_DEFAULT_ENDPOINTS: Mapping[str, str] = {"grpc": "http://localhost:4317", "http/protobuf": "http://localhost:4318"}
_OTLP_HTTP_PORT = 4318
REPORT_INTERVAL_VARIABLE = PREFIX + "REPORT_INTERVAL"
_HEADER_NAME = re.compile(r"[0-9a-z_.-]+")


@dataclass(frozen=True, slots=True)
class LogBatchSettings:
    """How log records are batched and retried; set by ``initialize_logger``. Only logs then fall back to the console.

    ``size`` and ``queue`` are records, ``seconds`` the longest wait for a full batch. ``attempts`` is how often a batch
    is sent before the next step gets it. ``already_printed`` returns whether a console handler has printed the records;
    a fallback to the console then skips them.
    """

    size: int
    seconds: float
    queue: int
    attempts: int
    already_printed: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of ``configure_telemetry``, unchecked; None means not given."""

    service_name: Any = None
    # Not in repr(): it may contain a password.
    dsn: Any = field(default=None, repr=False)
    endpoint: Any = None
    protocol: Any = None
    headers: Any = None
    resource_attributes: Any = None
    service_version: Any = None
    environment: Any = None
    log_level: Any = None
    capture_logs: Any = True
    metric_interval: Any = None
    timeout: Any = None
    shutdown_timeout: Any = None
    in_flight: Any = True
    report_interval: Any = None
    threads: Any = True
    install_signal_handlers: Any = True
    spool: Any = None
    spool_bytes: Any = None
    fallback: Any = None
    redact: Any = None
    max_attribute_bytes: Any = None
    max_body_bytes: Any = None
    log_batches: LogBatchSettings | None = None


@dataclass(slots=True)
class TelemetrySettings:
    """The resolved settings. ``targets`` has the signals that are on; ``database``, if set, replaces the targets.

    Times are seconds.
    """

    disabled: bool
    targets: dict[Signal, Target]
    database: Database | None
    resource: dict[str, Any]
    log_level: int | None
    capture_logs: bool
    metric_interval: float
    shutdown_timeout: float
    in_flight: bool
    report_interval: float
    threads: bool
    install_signal_handlers: bool
    processing: ProcessingSettings
    log_batches: LogBatchSettings | None
    warnings: list[str] = field(default_factory=list)


def resolve(arguments: Arguments, environ: Mapping[str, str]) -> TelemetrySettings:
    """Settings from ``arguments`` and ``environ``, with one of ``warnings`` for each invalid value."""
    warnings: list[str] = []
    targets = {
        signal: _target(signal, arguments, environ, warnings)
        for signal in Signal
        if _exported(signal, environ, warnings)
    }
    interval_ms = environ.get("OTEL_METRIC_EXPORT_INTERVAL")
    return TelemetrySettings(
        disabled=environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true",
        targets=targets,
        # An endpoint in the code takes precedence over the variable of the DSN.
        database=resolve_database(arguments.dsn, {} if arguments.endpoint is not None else environ, warnings),
        resource=_resource(arguments, warnings),
        log_level=_level(arguments.log_level, warnings),
        capture_logs=bool(arguments.capture_logs),
        metric_interval=(
            _seconds("metric_interval", arguments.metric_interval, warnings)
            or _seconds("OTEL_METRIC_EXPORT_INTERVAL", interval_ms, warnings, scale=1e-3)
            or DEFAULT_METRIC_INTERVAL
        ),
        shutdown_timeout=(
            _seconds("shutdown_timeout", arguments.shutdown_timeout, warnings) or DEFAULT_SHUTDOWN_TIMEOUT
        ),
        in_flight=bool(arguments.in_flight),
        report_interval=(
            _seconds("report_interval", arguments.report_interval, warnings)
            or _seconds(REPORT_INTERVAL_VARIABLE, environ.get(REPORT_INTERVAL_VARIABLE), warnings)
            or DEFAULT_REPORT_INTERVAL
        ),
        threads=bool(arguments.threads),
        install_signal_handlers=bool(arguments.install_signal_handlers),
        processing=resolve_processing(arguments, environ, warnings),
        log_batches=arguments.log_batches,
        warnings=list(dict.fromkeys(warnings)),
    )


def _exported(signal: Signal, environ: Mapping[str, str], warnings: list[str]) -> bool:
    name = f"OTEL_{signal.name}_EXPORTER"
    value = environ.get(name, "").strip().lower()
    if value not in {"", "otlp", "none"}:
        warnings.append(
            f"{name}={text(value)!r} is not supported (otlp or none): {signal.value} are exported with OTLP"
        )
    return value != "none"


def _target(signal: Signal, arguments: Arguments, environ: Mapping[str, str], warnings: list[str]) -> Target:
    protocol = _protocol(signal, arguments, environ, warnings)
    endpoint = _endpoint(signal, protocol, arguments, environ, warnings)
    parts = urlsplit(_with_authority(endpoint))
    loopback = is_loopback(parts.hostname)
    insecure = _otlp(environ, signal, "INSECURE")
    return Target(
        protocol=protocol,
        endpoint=endpoint,
        insecure=(
            parts.scheme != "https"
            if parts.scheme in {"http", "https", "unix"}
            else insecure.lower() == "true"
            if insecure
            else loopback
        ),
        loopback=loopback,
        headers=_headers(signal, protocol, arguments, environ, warnings),
        timeout=(
            _seconds("timeout", arguments.timeout, warnings)
            or _seconds("OTEL_EXPORTER_OTLP_TIMEOUT", _otlp(environ, signal, "TIMEOUT"), warnings)
            or DEFAULT_EXPORT_TIMEOUT
        ),
        compression=_compression(signal, protocol, environ, warnings),
        certificate=_otlp(environ, signal, "CERTIFICATE") or None,
        client_certificate=_otlp(environ, signal, "CLIENT_CERTIFICATE") or None,
        client_key=_otlp(environ, signal, "CLIENT_KEY") or None,
    )


def _otlp(environ: Mapping[str, str], signal: Signal, name: str) -> str:
    """The signal's own variable, else the general one; an empty variable counts as not set."""
    own = environ.get(f"OTEL_EXPORTER_OTLP_{signal.name}_{name}", "").strip()
    return own or environ.get(f"OTEL_EXPORTER_OTLP_{name}", "").strip()


def _protocol(signal: Signal, arguments: Arguments, environ: Mapping[str, str], warnings: list[str]) -> Protocol:
    for source, value in (
        ("protocol", arguments.protocol),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", _otlp(environ, signal, "PROTOCOL")),
    ):
        if value is None or value == "":
            continue
        known = {"grpc": "grpc", "http/protobuf": "http/protobuf", "http": "http/protobuf"}.get(text(value).lower())
        if known:
            return cast(Protocol, known)
        warnings.append(f"{source}={text(value)!r} is not supported: use 'grpc' or 'http/protobuf'")
    endpoint = arguments.endpoint if isinstance(arguments.endpoint, str) else _otlp(environ, signal, "ENDPOINT")
    return "http/protobuf" if _port(_with_authority(endpoint)) == _OTLP_HTTP_PORT else "grpc"


def _endpoint(
    signal: Signal, protocol: Protocol, arguments: Arguments, environ: Mapping[str, str], warnings: list[str]
) -> str:
    given = arguments.endpoint
    own = environ.get(f"OTEL_EXPORTER_OTLP_{signal.name}_ENDPOINT", "").strip()
    general = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip()
    for source, value, whole in (
        ("endpoint", given, False),
        (f"OTEL_EXPORTER_OTLP_{signal.name}_ENDPOINT", own, True),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", general, False),
    ):
        if value is None or value == "":
            continue
        endpoint = _with_authority(value) if isinstance(value, str) else ""
        scheme = urlsplit(endpoint).scheme if endpoint else "?"
        if not endpoint or scheme not in {"", "http", "https", "unix"} or (scheme == "unix" and protocol != "grpc"):
            warnings.append(f"{source}={text(value)!r} is not an endpoint: use http://host:port or https://host:port")
            continue
        if protocol == "grpc":
            return endpoint.removeprefix("//")
        url = endpoint if scheme else f"http:{endpoint}"
        return url if whole else f"{url.rstrip('/')}/v1/{signal.value}"
    default = _DEFAULT_ENDPOINTS[protocol]
    return default if protocol == "grpc" else f"{default}/v1/{signal.value}"


def _with_authority(endpoint: str) -> str:
    """``endpoint`` with ``//`` before a bare ``host:port``, as urlsplit needs it; "" if it is not a URL."""
    endpoint = endpoint.strip()
    if "://" not in endpoint and not endpoint.startswith("unix:"):
        endpoint = f"//{endpoint.removeprefix('//')}"
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:
        return ""
    return endpoint if parts.scheme == "unix" or (parts.hostname and port != 0) else ""


def _port(endpoint: str) -> int | None:
    return urlsplit(endpoint).port if endpoint else None


def _headers(
    signal: Signal, protocol: Protocol, arguments: Arguments, environ: Mapping[str, str], warnings: list[str]
) -> dict[str, str]:
    """Headers by lower-case name; arguments override variables. Warnings show no values: they may be secrets."""
    headers: dict[str, str] = {}
    for item in _otlp(environ, signal, "HEADERS").split(","):
        name, equals, value = item.partition("=")
        if equals and name.strip():
            headers[unquote(name).strip().lower()] = unquote(value).strip()
        elif item.strip():
            warnings.append("OTEL_EXPORTER_OTLP_HEADERS has an entry without '=': it is ignored")
    if isinstance(arguments.headers, Mapping):
        headers.update({text(name).strip().lower(): text(value) for name, value in arguments.headers.items()})
    elif arguments.headers is not None:
        warnings.append("headers is not a mapping of names to values: it is ignored")
    # A header that the transport rejects would fail every export.
    for name in [name for name, value in headers.items() if not _sendable(protocol, name, value)]:
        warnings.append(f"header {name!r} has a name or value that {protocol} cannot send: it is ignored")
        del headers[name]
    return headers


def _sendable(protocol: Protocol, name: str, value: str) -> bool:
    if protocol == "grpc":
        return is_sendable(name, value)
    return bool(_HEADER_NAME.fullmatch(name)) and value.isascii() and value.isprintable()


def _compression(signal: Signal, protocol: Protocol, environ: Mapping[str, str], warnings: list[str]) -> Compression:
    value = _otlp(environ, signal, "COMPRESSION").lower() or "none"
    if value in {"none", "gzip"} or (value == "deflate" and protocol == "http/protobuf"):
        return cast(Compression, value)
    warnings.append(f"OTEL_EXPORTER_OTLP_COMPRESSION={text(value)!r} is not supported over {protocol}: none is used")
    return "none"


def _seconds(name: str, value: Any, warnings: list[str], scale: float = 1.0) -> float | None:
    """``value`` times ``scale``, in seconds; None if not given or, with a warning, not a positive number."""
    if value is None or value == "":
        return None
    try:
        seconds = float(value) * scale
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if math.isfinite(seconds) and seconds > 0:
        return seconds
    warnings.append(f"{name}={text(value)!r} is not a positive number: the default is used")
    return None


def _level(value: Any, warnings: list[str]) -> int | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    level = logging.getLevelNamesMapping().get(text(value).strip().upper())
    if level is None:
        warnings.append(f"log_level={text(value)!r} is not a level of the logging module: the default is used")
    return level


def _resource(arguments: Arguments, warnings: list[str]) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    if isinstance(arguments.resource_attributes, Mapping):
        attributes.update(arguments.resource_attributes)
    elif arguments.resource_attributes is not None:
        warnings.append("resource_attributes is not a mapping: it is ignored")
    for name, value in (
        ("service.name", arguments.service_name),
        ("service.version", arguments.service_version),
        ("deployment.environment.name", arguments.environment),
    ):
        if value is None:
            continue
        if isinstance(value, str) and value:
            attributes[name] = value
        else:
            warnings.append(f"{name} must be a non-empty string: it is ignored")
    return attributes

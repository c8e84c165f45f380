"""``configure_telemetry`` and ``shutdown_telemetry``: called once per process, and they never raise.

The SDK is imported only when telemetry is configured; ``wiring`` builds it.
"""

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from otel_setup.config.settings import Arguments, resolve
from otel_setup.process.shutdown import Telemetry

_logger = logging.getLogger("otel_setup")


class _TelemetryState:
    """The telemetry of this process and the arguments it was configured with."""

    lock = threading.RLock()
    telemetry: Telemetry | None = None
    arguments: Arguments | None = None
    warned = False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: setattr(_TelemetryState, "lock", threading.RLock()))


def configure_telemetry(
    service_name: str | None = None,
    *,
    dsn: str | None = None,
    endpoint: str | None = None,
    protocol: str | None = None,
    headers: Mapping[str, str] | None = None,
    resource_attributes: Mapping[str, Any] | None = None,
    service_version: str | None = None,
    environment: str | None = None,
    log_level: int | str | None = None,
    capture_logs: bool = True,
    metric_interval: float | None = None,
    timeout: float | None = None,
    shutdown_timeout: float | None = None,
    in_flight: bool = True,
    report_interval: float | None = None,
    threads: bool = True,
    install_signal_handlers: bool = True,
    spool: str | os.PathLike[str] | bool | None = None,
    spool_bytes: int | None = None,
    fallback: str | Sequence[str] | None = None,
    redact: bool | Mapping[str, Any] | None = None,
    max_attribute_bytes: int | None = None,
    max_body_bytes: int | None = None,
) -> Telemetry:
    """Exports this process's logs (stdlib logging included), traces and metrics over OTLP or directly to PostgreSQL.

    An omitted argument takes the value of its ``OTEL_*`` variable, then its default.

    ``endpoint`` is the base for all signals (``http://host:port``); ``protocol`` is "grpc" (default, port 4317) or
    "http/protobuf" (default if the port is 4318). ``dsn`` (variable ``OTELGRES_TELEMETRY_DSN``) writes to that database
    without a collector, and creates the schema if its role may. In seconds: ``metric_interval`` (60), ``timeout`` (10,
    one export with its retries), ``shutdown_timeout`` (5, the flush at exit). ``log_level`` is the lowest level
    exported; None exports what the root logger passes and lowers the root logger from its default WARNING to INFO.
    ``in_flight`` records the starts of flows and phases and, every ``report_interval`` seconds (15), that a process
    with open ones is alive. ``threads`` propagates the current flow to threads, timers and executor tasks.

    A batch that the collector does not accept goes to the first exporter in ``fallback`` (default "spool", "console",
    "stderr") that accepts it. ``spool`` is the directory that keeps batches until they can be sent (default: one per
    service in the user's state directory; False: none), at most ``spool_bytes`` (128 MiB). ``redact`` hides passwords,
    tokens and card numbers (True, the default), nothing (False), or applies rules: ``{"keys": [regex],
    "values": [regex], "defaults": bool}``. Values longer than ``max_attribute_bytes`` (64 KiB) and ``max_body_bytes``
    (256 KiB) are truncated.

    A second call returns the same object, and logs one warning if its arguments differ. Never raises: an invalid
    argument takes its default, with a warning from logger ``otel_setup``.
    """
    arguments = Arguments(
        service_name=service_name,
        dsn=dsn,
        endpoint=endpoint,
        protocol=protocol,
        headers=headers,
        resource_attributes=resource_attributes,
        service_version=service_version,
        environment=environment,
        log_level=log_level,
        capture_logs=capture_logs,
        metric_interval=metric_interval,
        timeout=timeout,
        shutdown_timeout=shutdown_timeout,
        in_flight=in_flight,
        report_interval=report_interval,
        threads=threads,
        install_signal_handlers=install_signal_handlers,
        spool=spool,
        spool_bytes=spool_bytes,
        fallback=fallback,
        redact=redact,
        max_attribute_bytes=max_attribute_bytes,
        max_body_bytes=max_body_bytes,
    )
    return configure(arguments)


def current() -> Telemetry | None:
    """The telemetry of this process, or None before ``configure_telemetry``."""
    return _TelemetryState.telemetry


def configure(arguments: Arguments) -> Telemetry:
    """``configure_telemetry`` with its arguments as one object, which may hold internal ones."""
    with _TelemetryState.lock:
        if _TelemetryState.telemetry is None:
            _TelemetryState.arguments = arguments
            _TelemetryState.telemetry = _set_up(arguments)
        elif arguments not in (_TelemetryState.arguments, Arguments()) and not _TelemetryState.warned:
            _TelemetryState.warned = True
            _logger.warning(
                "configure_telemetry() was called again with other arguments; those of the first call stay in effect"
            )
        return _TelemetryState.telemetry


def shutdown_telemetry(timeout: float | None = None) -> bool:
    """Flushes and stops all telemetry within ``timeout`` seconds in total (None: ``shutdown_timeout``).

    True if everything was exported or spooled in time. A second call does nothing. Never raises.
    """
    telemetry = _TelemetryState.telemetry
    if telemetry is None:
        return True
    valid = isinstance(timeout, int | float) and 0 <= timeout < threading.TIMEOUT_MAX
    return telemetry.shutdown(timeout if valid else None)


def _set_up(arguments: Arguments) -> Telemetry:
    try:
        settings = resolve(arguments, os.environ)
        for warning in settings.warnings:
            _logger.warning("configure_telemetry: %s", warning)
        if settings.disabled:
            return Telemetry()
        # Late import: the SDK and gRPC take a tenth of a second, too long for `import otel_setup`.
        from otel_setup.wiring import build

        return build(settings)
    except Exception:  # telemetry must not break the application
        _logger.warning("configure_telemetry: setup failed, telemetry is off", exc_info=True)
        return Telemetry()

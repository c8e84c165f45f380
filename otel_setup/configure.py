"""``configure_telemetry`` and ``shutdown_telemetry``: once per process, and never an exception for the application.

Refuses to know how telemetry is built, which ``wiring`` does; the SDK is imported only when it is asked for.
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
    """What this process has configured."""

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
    """Sends this process's logs, traces and metrics over OTLP, or into PostgreSQL by itself; stdlib logging included.

    Every argument left out follows its ``OTEL_*`` variable, then the default. ``endpoint`` is a base for all signals
    (``http://host:port``); ``protocol`` is "grpc" (default, port 4317) or "http/protobuf" (default where the port is
    4318). ``dsn`` (variable ``OTELGRES_TELEMETRY_DSN``) stores straight into that database instead, with no collector,
    and makes the schema if it may. ``metric_interval``, ``timeout`` (one export with its retries) and
    ``shutdown_timeout`` (flush at exit) are seconds: 60, 10 and 5. ``log_level`` is the least level exported; None
    exports what the root logger lets through and lowers the root logger from its default WARNING to INFO.
    ``in_flight`` records starts of flows and phases, and every ``report_interval`` (15) that a process with open ones
    lives. ``threads`` makes threads, timers and executor tasks part of the
    flow that started them.

    What the collector does not take goes to the first of ``fallback`` ("spool", "console", "stderr", in this order)
    that takes it. ``spool`` is the directory that keeps batches until they can be sent (default: one for the service
    in the user's state folder; False: none), at most ``spool_bytes`` (128 MiB). ``redact`` hides passwords, tokens and
    card numbers (True, the default), nothing (False), or by rules too: ``{"keys": [regex], "values": [regex],
    "defaults": bool}``. Longer values than ``max_attribute_bytes`` (64 KiB) and ``max_body_bytes`` (256 KiB) are cut.

    A second call returns the same object; one that asks for something else warns once. Never raises: an argument that
    makes no sense costs a warning of logger ``otel_setup`` and takes its default.
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
    """What this process has configured already."""
    return _TelemetryState.telemetry


def configure(arguments: Arguments) -> Telemetry:
    """``configure_telemetry`` with its arguments as one, and those that only our own callers have."""
    with _TelemetryState.lock:
        if _TelemetryState.telemetry is None:
            _TelemetryState.arguments = arguments
            _TelemetryState.telemetry = _set_up(arguments)
        elif arguments not in (_TelemetryState.arguments, Arguments()) and not _TelemetryState.warned:
            _TelemetryState.warned = True
            _logger.warning("configure_telemetry() was called again with other arguments: the first call's are kept")
        return _TelemetryState.telemetry


def shutdown_telemetry(timeout: float | None = None) -> bool:
    """Flushes everything within ``timeout`` seconds in total (None: ``shutdown_timeout``) and stops.

    True if all was handed over in time. A second call does nothing. Never raises.
    """
    telemetry = _TelemetryState.telemetry
    if telemetry is None:
        return True
    sensible = isinstance(timeout, int | float) and 0 <= timeout < threading.TIMEOUT_MAX
    return telemetry.shutdown(timeout if sensible else None)


def _set_up(arguments: Arguments) -> Telemetry:
    try:
        settings = resolve(arguments, os.environ)
        for warning in settings.warnings:
            _logger.warning("configure_telemetry: %s", warning)
        if settings.disabled:
            return Telemetry()
        # Late: the SDK and gRPC take a tenth of a second to import, which `import otel_setup` need not.
        from otel_setup.wiring import build

        return build(settings)
    except Exception:  # an application without telemetry is better than no application
        _logger.warning("configure_telemetry: telemetry is off, because setting it up failed", exc_info=True)
        return Telemetry()

"""``initialize_logger``, ``get_logger``, ``shutdown_logging``: once per process, and never an exception.

Refuses to know what a configuration may say, which ``rules`` does, and how records are sent, which ``wiring`` does.
"""

import atexit
import logging
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from otel_setup import configure
from otel_setup.api.values import text
from otel_setup.config.settings import Arguments, LogBatchSettings
from otel_setup.logger import configuration, configuration_file, handlers
from otel_setup.sdk_adapter import update_resource

if TYPE_CHECKING:
    from otel_setup.logger.maintenance import LoggerMaintenance
    from otel_setup.process.shutdown import Telemetry

_logger = logging.getLogger("otel_setup")
_PREFIX: Final = "otelgres.table_prefix"
# At the end figures go out with the last records: after those, if they do not take longer than this.
_LAST_RECORDS: Final = 2.0


class _LoggerState:
    """What this process has set up."""

    lock = threading.RLock()
    done = False
    result = False
    configured_by_logger = False
    handlers: list[logging.Handler] = []  # noqa: RUF012 (one process, one list)
    telemetry: "Telemetry | None" = None
    maintenance: "LoggerMaintenance | None" = None


def initialize_logger(config: str | os.PathLike[str] | Mapping[str, Any] | None = None) -> bool:
    """Sets up console, file and database logging as ``config`` says; whether that worked. Never raises.

    ``config`` is the path of a YAML file or a mapping with the blocks ``logging`` and ``database``; None takes the file
    that variable ``OTELGRES_LOGGER_CONFIG`` names, else ``config.yml`` or ``config.yaml`` in the working directory,
    else the defaults. A value that makes no sense costs a warning of logger ``otel_setup`` and takes its default.
    False: the configuration cannot be read (the console is set up all the same), or storing could not be set up. A
    database that cannot be reached is no failure: its records take the fallback. A second call changes nothing.
    """
    with _LoggerState.lock:
        if _LoggerState.done:
            if _LoggerState.telemetry is not None and _LoggerState.telemetry.ended:
                _logger.warning(
                    "initialize_logger: logging was shut down, which a process does once; nothing is stored"
                )
                return False
            return _LoggerState.result
        _LoggerState.done = True
        try:
            _LoggerState.result = _set_up(config)
        except Exception:  # an application without logging is better than no application
            _logger.warning("initialize_logger: logging could not be set up", exc_info=True)
            _LoggerState.result = False
        return _LoggerState.result


def get_logger(name: str) -> logging.Logger:
    """The logger of a component: stdlib's own, with the level that ``logging.components`` gives it or its parent."""
    return logging.getLogger(text(name))


def shutdown_logging(timeout: float | None = None) -> bool:
    """Flushes and ends storing and the file within ``timeout`` seconds (None: 5); whether all was handed over in time.

    The console stays. A second call does nothing. Never raises.
    """
    with _LoggerState.lock:
        if _LoggerState.maintenance is not None:
            _LoggerState.maintenance.stop()
        in_time = True
        if _LoggerState.telemetry is not None:
            in_time = _last_records(_LoggerState.telemetry)
            if _LoggerState.configured_by_logger:
                in_time = configure.shutdown_telemetry(timeout) and in_time
        for handler in [kept for kept in _LoggerState.handlers if isinstance(kept, logging.FileHandler)]:
            logging.getLogger().removeHandler(handler)
            _LoggerState.handlers.remove(handler)
            handler.close()
        return in_time


def logging_status() -> dict[str, Any]:
    """How logging is doing in this process.

    ``queued``: records waiting for their batch. By what became of them: ``sent``, ``spooled``, ``replayed``,
    ``console``, ``stderr``, ``refused``, ``dropped``, ``overflowed``. Batches: ``flushes``, ``errors`` (after all their
    attempts), ``last_flush`` and ``last_error`` (datetime or None), ``last_error_reason``. ``storing``: records are
    being stored at all; ``connected``: the last batch was taken. View ``compat.logging_status`` has the same by SQL.
    """
    from otel_setup.logger.status import status

    return status(_LoggerState.telemetry)


def _set_up(config: Any) -> bool:
    readable = True
    try:
        found = configuration.resolve(configuration_file.read(config, os.environ), os.environ)
    except configuration_file.ConfigError as error:
        readable = False
        found = configuration.resolve({"logging": {"database": {"enabled": False}}}, {})
        problem = str(error)
    console, unwritten = _install(found)
    if not readable:
        _logger.error("initialize_logger: %s; records go to the console only", problem)
    for warning in (*found.warnings, *unwritten):
        _logger.warning("initialize_logger: %s", warning)
    stored = not found.records["enabled"] or _store(found, console)
    # Last: what sends records has an opinion on the root logger's level, too.
    logging.getLogger().setLevel(found.level)
    for name, level in found.components.items():
        logging.getLogger(name).setLevel(level)
    return readable and stored


def _install(found: configuration.LoggerSettings) -> "tuple[handlers.Console | None, list[str]]":
    """The console's handler, and what could not be installed."""
    root = logging.getLogger()
    root.setLevel(found.level)
    console = handlers.Console(found.console["format"]) if found.console["enabled"] else None
    made: list[logging.Handler] = [console] if console is not None else []
    unwritten = []
    if found.file["enabled"]:
        try:
            made.append(handlers.rotating_file(found.file))
        except OSError as error:
            unwritten.append(f"logging.file.path {found.file['path']} cannot be written: {error.strerror}")
    # Somebody who turns the console off does not want the last resort of stdlib there either.
    for handler in made or [logging.NullHandler()]:
        root.addHandler(handler)
        _LoggerState.handlers.append(handler)
    return console, unwritten


def _store(found: configuration.LoggerSettings, console: "handlers.Console | None") -> bool:
    """Whether storing is set up, or was not asked for."""
    if found.endpoint is None and found.database is None:
        return True
    telemetry = configure.current()
    _LoggerState.configured_by_logger = telemetry is None
    if telemetry is None:
        telemetry = configure.configure(_arguments(found, console))
    _LoggerState.telemetry = telemetry
    if telemetry.logger_provider is None:
        return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if not _LoggerState.configured_by_logger:
        _adopt(telemetry, found.table_prefix)
    from otel_setup.logger.status import report

    report(telemetry)
    atexit.register(shutdown_logging)
    if found.database is not None:
        _maintain(found)
    return True


def _arguments(found: configuration.LoggerSettings, console: "handlers.Console | None") -> Arguments:
    records = found.records
    named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return Arguments(
        service_name=None if named else found.table_prefix,
        dsn=None if found.endpoint else found.database,
        endpoint=found.endpoint,
        resource_attributes={_PREFIX: found.table_prefix},
        spool=records["spool"] or False,
        log_batches=LogBatchSettings(
            size=records["batch_size"],
            seconds=records["flush_interval"],
            queue=max(records["queue_size"], records["batch_size"]),
            attempts=records["retry_attempts"] + 1,
            already_printed=lambda: console is not None and not console.broken,
        ),
    )


def _adopt(telemetry: "Telemetry", prefix: str) -> None:
    """Telemetry that the application had configured before: its records belong to the prefix from now on."""
    for provider in (telemetry.logger_provider, telemetry.meter_provider):
        if provider is not None:
            update_resource(provider, {_PREFIX: prefix})
    _logger.warning(
        "initialize_logger: configure_telemetry() was called before: records go where that sends them, in its batches"
    )


def _maintain(found: configuration.LoggerSettings) -> None:
    from otel_setup.logger.maintenance import LoggerMaintenance

    assert found.database is not None
    maintenance = LoggerMaintenance(
        found.database,
        found.table_prefix,
        found.records["retention_days"],
        stores=_LoggerState.configured_by_logger and not found.endpoint,
    )
    _LoggerState.maintenance = maintenance
    maintenance.start()
    maintenance.wait(found.records["connect_timeout"])


def _last_records(telemetry: "Telemetry") -> bool:
    if telemetry.ended or any(pipeline.failing for pipeline in telemetry.pipelines):
        return True
    return telemetry.force_flush(_LAST_RECORDS)


def _forked() -> None:
    _LoggerState.lock = threading.RLock()
    if _LoggerState.maintenance is not None and _LoggerState.telemetry is not None and not _LoggerState.telemetry.ended:
        _LoggerState.maintenance.forked()
        try:
            _LoggerState.maintenance.start()
        except RuntimeError:
            _logger.debug("no thread for maintenance in this process", exc_info=True)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)

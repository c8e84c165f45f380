"""Sets up logging for a process of runs: a rotating log file, the console and, optionally, the database."""

import logging
import logging.handlers
import os
from pathlib import Path
from typing import Any

from otel_setup.configure import configure_telemetry
from otel_setup.runs.defaults import defaults
from otel_setup.runs.format import RunFormatter

_log = logging.getLogger("otel_setup")
_installed: list[logging.Handler] = []


def configure_run_logging(
    service_name: str | None = None,
    *,
    enable_db_logging: bool = True,
    demo_mode: bool = False,
    log_file: str | os.PathLike[str] | None = None,
    max_bytes: int = 10 * 1024 * 1024,
    backups: int = 5,
    console: bool = True,
    level: int | str = logging.INFO,
    fmt: str | None = None,
    **telemetry: Any,
) -> None:
    """Logs to ``log_file`` (rotated at ``max_bytes``, with ``backups`` old files), to stderr and to the database.

    Without ``enable_db_logging``, or in ``demo_mode``, telemetry is not set up and the process sends nothing.
    ``telemetry`` are arguments of ``configure_telemetry``. A second call replaces the file and console of the first. A
    file that cannot be opened causes a warning.
    """
    root = logging.getLogger()
    for handler in _installed:
        root.removeHandler(handler)
        handler.close()
    _installed.clear()
    defaults.demo_mode, defaults.writes = demo_mode, enable_db_logging
    if enable_db_logging and not demo_mode:
        configure_telemetry(service_name, log_level=level, **telemetry)
    else:
        # Threads still need the current run, for the lines in the log file.
        from otel_setup.sdk.thread_context import carry_into_threads

        carry_into_threads()
    if console:
        _installed.append(logging.StreamHandler())
    if log_file is not None:
        try:
            path = Path(log_file)
            path.parent.mkdir(parents=True, exist_ok=True)
            _installed.append(
                logging.handlers.RotatingFileHandler(path, maxBytes=max_bytes, backupCount=backups, encoding="utf-8")
            )
        except OSError as error:
            _log.warning("cannot write log file %s: %s", log_file, error.strerror or error)
    formatter = RunFormatter(fmt)
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO) if isinstance(level, str) else level
    for handler in _installed:
        handler.setLevel(number)
        handler.setFormatter(formatter)
        root.addHandler(handler)
    root.setLevel(min(root.level, number) if root.level else number)

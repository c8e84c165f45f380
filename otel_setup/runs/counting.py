"""Counts the log records of each run, independent of handlers.

Uses a record factory: a handler on the root logger would disable logging's last resort (warnings to stderr).
"""

import logging
import threading
from typing import Any

from otel_setup.runs import current


class _State:
    lock = threading.Lock()
    installed = False


def count_records() -> None:
    """From now on counts every record for its run. A second call does nothing."""
    with _State.lock:
        if _State.installed:
            return
        _State.installed = True
        make = logging.getLogRecordFactory()

        def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
            record = make(*args, **kwargs)
            execution = current.execution()
            # logging.makeLogRecord creates a record without a level before it copies another one into it.
            if execution is not None and record.levelno is not None:
                execution.metrics.count_log(record.levelname)
            return record

        logging.setLogRecordFactory(factory)

"""Counts the log records of each run as they are made, whatever handlers there are, or none.

A record factory rather than a handler on the root logger: a handler there would keep logging's last resort, which
prints warnings to stderr, from speaking. Refuses to know levels and destinations.
"""

import logging
import threading
from typing import Any

from otel_setup.runs import current


class _State:
    lock = threading.Lock()
    installed = False


def count_records() -> None:
    """From now on every record that is made counts for the run it is made in. Twice is harmless."""
    with _State.lock:
        if _State.installed:
            return
        _State.installed = True
        make = logging.getLogRecordFactory()

        def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
            record = make(*args, **kwargs)
            execution = current.execution()
            # A record without a level is a copy in the making, by logging.makeLogRecord.
            if execution is not None and record.levelno is not None:
                execution.metrics.count_log(record.levelname)
            return record

        logging.setLogRecordFactory(factory)

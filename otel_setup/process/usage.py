"""Resource usage of this process and machine.

Linux needs the standard library only. On other systems memory, CPU and disks need psutil (extra ``server``); without it
they are not measured, with one warning of the logger ``otel_setup``. Unavailable values do not raise.
"""

import contextlib
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from otelgres.exporters.extras import installing

_logger = logging.getLogger("otel_setup")
_LINUX: Final = sys.platform == "linux"
_PROC: Final = Path("/proc")
_SECTOR: Final = 512
_Answer = TypeVar("_Answer")
_UNREADABLE: Final = (OSError, ValueError, IndexError, KeyError)


class Memory(NamedTuple):
    """Memory of the machine in bytes; ``available`` without swapping."""

    total: int
    available: int


class _Psutil:
    """The module psutil, once ``imported`` is set; None if it is not installed."""

    imported = False
    module: Any = None


def resident_bytes() -> int | None:
    """Resident memory of this process in bytes; None if unavailable."""
    if _LINUX:
        with contextlib.suppress(*_UNREADABLE):
            return int(_read("self/statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return None
    return _ask(lambda psutil: int(psutil.Process().memory_info().rss))


def thread_count() -> int | None:
    """The number of threads of this process; None if unavailable."""
    if _LINUX:
        with contextlib.suppress(*_UNREADABLE):
            return len(os.listdir("/proc/self/task"))  # noqa: PTH208 (names alone, no paths)
        return None
    return _ask(lambda psutil: int(psutil.Process().num_threads()))


def process_cpu_seconds() -> float:
    """CPU seconds of this process, user and system, of all threads."""
    return time.process_time()


def machine_cpu_seconds() -> tuple[float, float] | None:
    """CPU time of the machine since it started, as (busy, total) in the same unit; None if unavailable."""
    if _LINUX:
        with contextlib.suppress(*_UNREADABLE):
            # user nice system idle iowait irq softirq steal; guests are counted in user and nice.
            ticks = [float(value) for value in _read("stat").partition("\n")[0].split()[1:9]]
            return sum(ticks) - ticks[3] - ticks[4], sum(ticks)
        return None
    return _ask(_cpu_of)


def machine_memory() -> Memory | None:
    """Memory of the machine; None if unavailable."""
    if _LINUX:
        with contextlib.suppress(*_UNREADABLE):
            lines = dict(line.split(":", 1) for line in _read("meminfo").splitlines())
            return Memory(*(int(lines[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable")))
        return None
    return _ask(_memory_of)


def disk_free(path: Path) -> tuple[float, int] | None:
    """The used share (0 to 1) of the file system at ``path``, without reserved space, and its free bytes."""
    with contextlib.suppress(OSError, ZeroDivisionError):
        found = shutil.disk_usage(path)
        return found.used / (found.used + found.free), found.free
    return None


def disk_bytes() -> tuple[int, int] | None:
    """Bytes read and written by all disks of the machine since it started; None if unavailable."""
    if _LINUX:
        with contextlib.suppress(*_UNREADABLE):
            # Without partitions, which are included in their disks.
            disks = {entry.replace("!", "/") for entry in os.listdir("/sys/block")}  # noqa: PTH208 (as above)
            rows = [row for row in map(str.split, _read("diskstats").splitlines()) if row[2] in disks]
            return sum(int(row[5]) for row in rows) * _SECTOR, sum(int(row[9]) for row in rows) * _SECTOR
        return None
    return _ask(_disks_of)


def _read(name: str) -> str:
    return (_PROC / name).read_text(encoding="ascii", errors="replace")


def _cpu_of(psutil: Any) -> tuple[float, float]:
    times = psutil.cpu_times()
    return sum(times) - times.idle, sum(times)


def _memory_of(psutil: Any) -> Memory:
    found = psutil.virtual_memory()
    return Memory(int(found.total), int(found.available))


def _disks_of(psutil: Any) -> tuple[int, int] | None:
    found = psutil.disk_io_counters()
    return None if found is None else (int(found.read_bytes), int(found.write_bytes))


def _ask(question: Callable[[Any], _Answer | None]) -> _Answer | None:
    """The result of ``question``; None if psutil is not installed (logged once) or has no value."""
    if not _Psutil.imported:
        _Psutil.imported = True
        try:
            import psutil
        except ImportError:
            _logger.warning(
                "memory, CPU and disks are not measured on %s without psutil: %s", sys.platform, installing("server")
            )
        else:
            _Psutil.module = psutil
    if _Psutil.module is None:
        return None
    try:
        return question(_Psutil.module)
    except (_Psutil.module.Error, OSError, RuntimeError):
        return None

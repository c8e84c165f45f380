"""Samples the CPU, memory and disk use of the process and the machine while a pipeline runs, on its own thread."""

import contextlib
import contextvars
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any, Final

import psutil
from opentelemetry import metrics

from otel_setup.pipelines.measure import metric

_FLUSH_MILLISECONDS: Final = 5000
_log = logging.getLogger("otel_setup")


class ResourceSampler:
    """Samples at the start, every ``seconds`` and at the end, for the experiment of the context it is started in.

    ``disk`` is a path on the file system to measure. A context manager; in a forked child it does nothing. Its thread
    exports each sample immediately, so that a longer ``metric_interval`` loses none.
    """

    def __init__(self, seconds: float = 10.0, *, disk: str | os.PathLike[str] = ".", **attributes: Any) -> None:
        self._seconds = seconds
        self._disk = Path(disk)
        self._attributes = attributes
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._process = psutil.Process()
        self._read: tuple[float, int, int] | None = None
        self.samples = 0

    def start(self) -> "ResourceSampler":
        """Starts the thread, unless it is running; returns itself."""
        if self._thread is None:
            self._stopped.clear()
            self._pid = os.getpid()
            # Keeps the caller's context even if contexts are not propagated to threads.
            run = contextvars.copy_context().run
            self._thread = threading.Thread(target=run, args=(self._run,), name="otelgres-sampler", daemon=True)
            self._thread.start()
        return self

    def stop(self) -> None:
        """Takes a last sample and stops; waits for it up to one second."""
        thread, self._thread = self._thread, None
        self._stopped.set()
        if thread is not None and self._pid == os.getpid() and thread is not threading.current_thread():
            thread.join(1.0)

    def __enter__(self) -> "ResourceSampler":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def sample(self) -> dict[str, float]:
        """Takes and records one sample; returns value by name, without values the system does not provide."""
        found: dict[str, tuple[float, str]] = {}
        with contextlib.suppress(psutil.Error, OSError), self._process.oneshot():
            found["process.cpu.utilization"] = (self._process.cpu_percent() / 100, "1")
            found["process.memory.usage"] = (self._process.memory_info().rss, "By")
            found["process.thread.count"] = (self._process.num_threads(), "{thread}")
        with contextlib.suppress(psutil.Error, OSError):
            found["system.cpu.utilization"] = (psutil.cpu_percent() / 100, "1")
            memory = psutil.virtual_memory()
            found["system.memory.utilization"] = (memory.percent / 100, "1")
            found["system.memory.available"] = (memory.available, "By")
        with contextlib.suppress(psutil.Error, OSError):
            disk = psutil.disk_usage(str(self._disk))
            found["system.filesystem.utilization"] = (disk.percent / 100, "1")
            found["system.filesystem.free"] = (disk.free, "By")
        with contextlib.suppress(psutil.Error, OSError, RuntimeError):
            found |= self._disk_rates()
        for name, (value, unit) in found.items():
            metric(name, value, unit, **self._attributes)
        self.samples += 1
        return {name: value for name, (value, _) in found.items()}

    def _disk_rates(self) -> dict[str, tuple[float, str]]:
        counters = psutil.disk_io_counters()
        if counters is None:
            return {}
        now, before = (time.monotonic(), counters.read_bytes, counters.write_bytes), self._read
        self._read = now
        if before is None or now[0] <= before[0]:
            return {}
        seconds = now[0] - before[0]
        return {
            "system.disk.read": ((now[1] - before[1]) / seconds, "By/s"),
            "system.disk.write": ((now[2] - before[2]) / seconds, "By/s"),
        }

    def _run(self) -> None:
        # CPU shares are measured since the previous call: the first call starts the measurement.
        with contextlib.suppress(psutil.Error, OSError):
            self._process.cpu_percent()
            psutil.cpu_percent()
        last = False
        while not last and os.getpid() == self._pid:
            last = self._stopped.is_set()
            try:
                self.sample()
                flush = getattr(metrics.get_meter_provider(), "force_flush", None)
                if flush is not None:
                    flush(_FLUSH_MILLISECONDS)
            except Exception:  # noqa: BLE001 (one bad sample must not end the rest)
                _log.debug("a sample was not taken", exc_info=True)
            if not last:
                self._stopped.wait(self._seconds)

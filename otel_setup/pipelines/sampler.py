"""Samples the CPU, memory and disk use of the process and the machine while a pipeline runs, on its own thread."""

import contextvars
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any, Final

from opentelemetry import metrics

from otel_setup.pipelines.measure import metric
from otel_setup.process.usage import (
    disk_bytes,
    disk_free,
    machine_cpu_seconds,
    machine_memory,
    process_cpu_seconds,
    resident_bytes,
    thread_count,
)

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
        # Shares of CPU time are since the last look: the first one is taken now.
        self._process_cpu = (process_cpu_seconds(), time.monotonic())
        self._machine_cpu = machine_cpu_seconds()
        self._moved: tuple[int, int, float] | None = None
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
        """Takes and records one sample; returns value by name, without values that the system does not provide."""
        found = self._process() | self._machine() | self._disks()
        for name, (value, unit) in found.items():
            metric(name, value, unit, **self._attributes)
        self.samples += 1
        return {name: value for name, (value, _) in found.items()}

    def _process(self) -> dict[str, tuple[float, str]]:
        found: dict[str, tuple[float, str]] = {}
        now, before = (process_cpu_seconds(), time.monotonic()), self._process_cpu
        self._process_cpu = now
        if now[1] > before[1]:
            found["process.cpu.utilization"] = ((now[0] - before[0]) / (now[1] - before[1]), "1")
        if (memory := resident_bytes()) is not None:
            found["process.memory.usage"] = (memory, "By")
        if (threads := thread_count()) is not None:
            found["process.thread.count"] = (threads, "{thread}")
        return found

    def _machine(self) -> dict[str, tuple[float, str]]:
        found: dict[str, tuple[float, str]] = {}
        now, before = machine_cpu_seconds(), self._machine_cpu
        self._machine_cpu = now
        if now is not None and before is not None and now[1] > before[1]:
            found["system.cpu.utilization"] = ((now[0] - before[0]) / (now[1] - before[1]), "1")
        if (memory := machine_memory()) is not None:
            found["system.memory.utilization"] = (1 - memory.available / memory.total, "1")
            found["system.memory.available"] = (memory.available, "By")
        return found

    def _disks(self) -> dict[str, tuple[float, str]]:
        found: dict[str, tuple[float, str]] = {}
        if (space := disk_free(self._disk)) is not None:
            found["system.filesystem.utilization"] = (space[0], "1")
            found["system.filesystem.free"] = (space[1], "By")
        moved, at, before = disk_bytes(), time.monotonic(), self._moved
        if moved is not None:
            self._moved = (*moved, at)
            if before is not None and at > before[2]:
                seconds = at - before[2]
                found["system.disk.read"] = ((moved[0] - before[0]) / seconds, "By/s")
                found["system.disk.write"] = ((moved[1] - before[1]) / seconds, "By/s")
        return found

    def _run(self) -> None:
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

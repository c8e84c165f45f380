"""Writes the documents as JSON lines: a directory per kind, a file per day, rotated by size.

A background thread writes. A full queue drops the newest document and counts it.
"""

import atexit
import json
import logging
import os
import queue
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

_log = logging.getLogger("otel_setup")

FOLDERS: Final = {
    "database_operation": "database_operations",
    "sync_operation": "sync_operations",
    "migration_operation": "migration_operations",
    "performance_metrics": "performance_metrics",
    "error": "error_logs",
    "monitoring_data": "monitoring_data",
}
_QUEUE: Final = 10_000
_FLUSH_SECONDS: Final = 5.0


class OperationFiles:
    """Writes below ``directory``, which it creates. Rotates at ``max_bytes`` and keeps ``keep`` old files per day."""

    def __init__(self, directory: Path, max_bytes: int = 50 * 1024 * 1024, keep: int = 20) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._keep = keep
        self._queue: queue.Queue[tuple[str, dict[str, Any]] | threading.Event] = queue.Queue(_QUEUE)
        self._open: dict[str, tuple[str, IO[str]]] = {}
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self.dropped = 0
        atexit.register(self.flush)

    def put(self, kind: str, document: dict[str, Any]) -> None:
        """Queues a document. Never waits; counts it as dropped if the queue is full."""
        try:
            self._ensure_started()
            self._queue.put_nowait((kind, document))
        except (queue.Full, RuntimeError):
            self.dropped += 1

    def flush(self, seconds: float = _FLUSH_SECONDS) -> bool:
        """Waits up to ``seconds`` until all queued documents are written; returns whether they are."""
        if self._thread is None or self._pid != os.getpid():
            return True
        done = threading.Event()
        try:
            self._queue.put(done, timeout=seconds)
        except queue.Full:
            return False
        return done.wait(seconds)

    def _ensure_started(self) -> None:
        if self._thread is not None and self._pid == os.getpid():
            return
        with self._lock:
            if self._thread is None or self._pid != os.getpid():
                # A forked child has no thread, and must not share the parent's open files.
                self._pid = os.getpid()
                self._open = {}
                self._queue = queue.Queue(_QUEUE)
                self._thread = threading.Thread(target=self._run, name="otelgres-operations", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            item = self._queue.get()
            try:
                if isinstance(item, threading.Event):
                    for _, file in self._open.values():
                        file.flush()
                    item.set()
                else:
                    self._write(*item)
                    if self._queue.empty():
                        for _, file in self._open.values():
                            file.flush()
            except (OSError, ValueError) as error:
                self.dropped += 1
                _log.debug("an operation could not be written to its file: %s", error)

    def _write(self, kind: str, document: dict[str, Any]) -> None:
        line = json.dumps(document, default=str, ensure_ascii=False, separators=(",", ":"))
        day = f"{datetime.now(UTC):%Y-%m-%d}"
        name, file = self._open.get(kind, ("", None))
        if file is None or name != day or file.tell() > self._max_bytes:
            if file is not None:
                file.close()
            file = self._file(kind, day)
            self._open[kind] = (day, file)
        file.write(line + "\n")

    def _file(self, kind: str, day: str) -> IO[str]:
        folder = self._directory / FOLDERS[kind]
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{day}.jsonl"
        if path.exists() and path.stat().st_size > self._max_bytes:
            for number in range(self._keep - 1, 0, -1):
                older = folder / f"{day}.{number}.jsonl"
                if older.exists():
                    older.replace(folder / f"{day}.{number + 1}.jsonl")
            path.replace(folder / f"{day}.1.jsonl")
            (folder / f"{day}.{self._keep + 1}.jsonl").unlink(missing_ok=True)
        return path.open("a", encoding="utf-8")

"""The file with the addresses of a running ``otelgres up``, for other commands on the same data folder."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import psutil

from otelgres.collector.system.folder import Folder

_NAME: Final = "receiver.json"


class Running(NamedTuple):
    """A receiver that was running when its file was read."""

    grpc: str
    http: str
    pid: int


class Runfile:
    """``receiver.json`` in a data folder; a context manager that removes it at exit."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with Folder(self._data, links=True) as folder:
            folder.remove(_NAME)

    def write(self, grpc: str, http: str, pid: int) -> None:
        """Writes the addresses and the process id."""
        content = {"grpc": grpc, "http": http, "pid": pid, "started": psutil.Process(pid).create_time()}
        with Folder(self._data, links=True) as folder:
            folder.write(_NAME, json.dumps(content), 0o644)


def running(data: Path) -> Running | None:
    """The receiver running on this data folder, or None (also for a file left after a kill)."""
    try:
        found: dict[str, Any] = json.loads((data / _NAME).read_text(encoding="utf-8"))
        if psutil.Process(found["pid"]).create_time() != found["started"]:
            return None
    except (OSError, ValueError, KeyError, psutil.Error):
        return None
    return Running(found["grpc"], found["http"], found["pid"])

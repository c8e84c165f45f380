"""Unit tests start no process and open no socket: who does belongs to another folder, and fails here."""

import sys
import threading
from collections.abc import Iterator

import pytest

_FORBIDDEN = {
    "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "os.system", "subprocess.Popen",
    "socket.bind", "socket.connect", "socket.getaddrinfo", "socket.sendmsg", "socket.sendto",
}  # fmt: skip


class _Guard:
    """An audit hook, which Python cannot take away again; it acts between ``begin`` and ``end`` only."""

    def __init__(self) -> None:
        self._active = False
        self._others: set[int] = set()
        self._seen: list[str] = []
        sys.addaudithook(self._look)

    def begin(self) -> None:
        # What a test of another folder left running in a thread is not this test's doing.
        self._others = {thread.ident or 0 for thread in threading.enumerate()} - {threading.get_ident()}
        self._seen = []
        self._active = True

    def end(self) -> list[str]:
        self._active = False
        return self._seen

    def _look(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._active and event in _FORBIDDEN and threading.get_ident() not in self._others:
            self._seen.append(f"{event} {arguments!r}")  # told at the end, where nothing catches it
            raise RuntimeError(f"a unit test called {event}")


_guard = _Guard()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup() -> Iterator[None]:
    _guard.begin()
    yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Iterator[None]:
    # Before the teardown itself: that may be the end of what other folders share, too.
    seen = _guard.end()
    yield
    assert seen == [], "move this test to a folder whose tests may start processes and open sockets"


@pytest.fixture(scope="session")
def cluster() -> None:
    """There is no PostgreSQL for unit tests. The fixtures of the same names are those that others share."""
    pytest.fail("a unit test asked for PostgreSQL: move it to another folder")


@pytest.fixture(scope="session")
def migrated(cluster: None) -> None:
    """See ``cluster``."""

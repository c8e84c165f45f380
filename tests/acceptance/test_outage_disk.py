"""PostgreSQL on a disk that is really full: what arrives is kept, acknowledged, and stored once there is room again."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from otelgres.collector.tools.chaos.disk import SmallDisk
from otelgres.collector.tools.chaos.items import ItemKind
from otelgres.collector.tools.chaos.processes import DatabaseProcess
from otelgres.collector.tools.chaos.run import temporary_folder
from otelgres.collector.tools.chaos.transports import Grpc
from tests.acceptance.test_outage import fresh, losses, receiving, send, stored
from tests.waiting import until

_DISK_BYTES = 220_000_000
_LEFT_BYTES = 10_000_000


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    with temporary_folder() as folder:
        disk = SmallDisk(folder / "disk", _DISK_BYTES)
        try:
            if not disk.limited:
                pytest.skip("a small disk needs Linux and the right to mount")
            # The server runs as another user, who has to pass here.
            disk.folder.chmod(0o711)
            yield disk
        finally:
            disk.close()


def free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def test_a_full_disk_of_the_database_loses_nothing(disk: SmallDisk, tmp_path: Path) -> None:
    database = DatabaseProcess(disk.folder)
    try:
        database.start()
        with receiving(database.direct_dsn, tmp_path) as receiver:
            receiver.until_ready()
            with (disk.folder / "filler").open("wb") as filler:
                filler.write(bytes(free_bytes(disk.folder) - _LEFT_BYTES))
            accepted: list[range] = []

            def disk_is_full() -> bool:
                numbers = fresh(500)
                assert send(Grpc(receiver.grpc), ItemKind.SPAN, numbers).accepted
                accepted.append(numbers)
                return "No space left on device" in receiver.process.errors

            until(disk_is_full, "the disk's being full")
            for _ in range(20):
                disk_is_full()
            assert list(tmp_path.glob("*/*.spool")), "it is in the spool"
            disk.release()
            # It may have died of it, as it does where the write-ahead log finds no room: then a person starts it again.
            database.start()
            everything = sorted(itertools.chain(*accepted))
            until(lambda: len(stored(database.direct_dsn, "spans")) >= len(everything), "what was kept")
            assert stored(database.direct_dsn, "spans") == everything
            assert losses(database.direct_dsn) == {}
            assert "Traceback" not in receiver.process.errors
    finally:
        database.close()

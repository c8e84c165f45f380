"""A short run of ``otelgres chaos``, as a person would start it, and what it leaves behind: nothing."""

import json
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
import psycopg
import pytest

from otelgres.collector.tools.chaos.items import ItemKind, Items, kinds_and_numbers
from otelgres.collector.tools.chaos.ledger import SentLedger
from otelgres.collector.tools.chaos.reconciliation import reconcile
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outcome import Accepted
from otelgres.exporters.postgres.writer import PostgresWriter
from tests.acceptance.receiver_process import OtelgresProcess
from tests.waiting import until

TIMEOUT = 240.0


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A place of this test's own for what is temporary, with a path short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        # PostgreSQL may run as another user, who has to pass here.
        Path(folder).chmod(0o711)
        yield Path(folder)


def test_nothing_acknowledged_is_lost_or_duplicated_whatever_is_killed(temporary: Path) -> None:
    arguments = ("chaos", "--seconds", "12", "--seed", "4", "--kills", "6", "--json")
    with OtelgresProcess(*arguments, TMPDIR=str(temporary)) as process:
        answer, _ = process.process.communicate(timeout=TIMEOUT)
        result = json.loads(answer)
        assert process.process.returncode == 0, (result, process.errors)
    assert result["right"]
    assert result["kills"] >= 6
    for line in result["items"].values():
        assert line["stored"] > 0
        assert line["stored"] + line["damaged"] == line["acked"]
        assert line["lost"] == line["duplicated"] == line["rejected"] == line["not_sent"] == 0
    assert result["rollups"]["in_flows"] == result["rollups"]["in_span_stats"] == result["rollups"]["spans"]
    assert result["requests"]["duplicates"]
    assert result["log_errors"] == {}
    assert result["counted_batches"] >= result["damaged_batches"]
    assert list(temporary.iterdir()) == []


def test_an_interrupt_leaves_nothing_running(temporary: Path) -> None:
    with OtelgresProcess("chaos", "--seconds", "600", "--seed", "5", TMPDIR=str(temporary)) as process:
        (folder,) = until(lambda: list(temporary.iterdir()), "a folder of its own")
        until(lambda: (folder / "receiver.log").exists(), "a receiver")
        assert process.stop(signal.SIGINT) == 130, process.errors
    assert list(temporary.iterdir()) == []
    # PostgreSQL's processes and the receiver work there; a folder that is gone is still in the name.
    assert not [one for one in psutil.process_iter() if str(folder) in working_directory(one)]


def working_directory(process: psutil.Process) -> str:
    try:
        return str(process.cwd())
    except psutil.Error:
        return ""


def test_reconciliation_finds_lost_duplicated_and_unexpected_items(database: str) -> None:
    items, ledger = Items(3, time.time_ns()), SentLedger()
    writer = PostgresWriter(database)

    def store(kind: ItemKind, *requests: Sequence[int]) -> None:
        batches = [Batch(kind.signal, items.request(kind, numbers)) for numbers in requests]
        assert writer.write(batches) == [Accepted()] * len(batches)

    for kind in ItemKind:
        ledger.acked(kind, ledger.take(kind, 5))
    ledger.damaged(kinds_and_numbers(Batch(Signal.LOGS, items.request(ItemKind.LOG, [0, 4]))))
    store(ItemKind.SPAN, range(5))
    store(ItemKind.LOG, [0, 1, 2])
    store(ItemKind.LOG_WITHOUT_UID, range(5), [0, 1])
    store(ItemKind.POINT, range(7))
    writer.close()
    reconciliation = reconcile(ledger, database)
    wrong = {kind: (line.lost, line.duplicated, line.not_sent) for kind, line in reconciliation.lines.items()}
    assert wrong == {
        ItemKind.SPAN: (0, 0, 0),
        ItemKind.LOG: (1, 0, 0),
        ItemKind.LOG_WITHOUT_UID: (0, 2, 0),
        ItemKind.POINT: (0, 0, 2),
    }
    assert [line.right for line in reconciliation.lines.values()] == [True, False, False, False]
    assert reconciliation.lines[ItemKind.LOG].damaged == 1
    assert (reconciliation.damaged_batches, reconciliation.counted_batches) == (1, 0)
    assert not reconciliation.right
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE _otel.flow_parts SET span_count = span_count + 1")
    assert reconcile(ledger, database).rollups["wrong_flows"] == 1

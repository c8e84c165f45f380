"""Group commit, bounds and shutdown of the intake, with a writer that the test holds in its hand."""

import asyncio
import math
import threading
from collections.abc import Sequence

import pytest

from otelgres.collector.queue import group_commit
from otelgres.collector.queue.group_commit import GROUP_BYTES, GroupCommitQueue
from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.outcome import Accepted, Invalid, Outcome, Overloaded, Unavailable
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def submit(intake: GroupCommitQueue, batch: Batch, sender: str = "a") -> Outcome:
    return await intake.submit(batch, lambda outcome: None, sender)


class HeldWriter:
    """Writes nothing until it is released; remembers the groups it was given."""

    def __init__(self) -> None:
        self.groups: list[list[bytes]] = []
        self.entered = threading.Semaphore(0)
        self.released = threading.Semaphore(0)
        self.closed = False
        self.failing = False

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        self.groups.append([batch.payload for batch in batches])
        self.entered.release()
        self.released.acquire()
        if self.failing:
            raise RuntimeError("a fault of ours")
        return [Invalid(batch.payload.decode()) for batch in batches]

    def close(self) -> None:
        self.closed = True


def batch(payload: bytes) -> Batch:
    return Batch(Signal.LOGS, payload)


async def entered(writer: HeldWriter) -> None:
    assert await asyncio.to_thread(writer.entered.acquire, timeout=10)


async def test_a_lone_request_goes_at_once_and_what_waits_meanwhile_goes_together() -> None:
    writer = HeldWriter()
    intake = GroupCommitQueue(lambda: writer, writers=1)
    first = asyncio.create_task(submit(intake, batch(b"1")))
    await entered(writer)
    later = [asyncio.create_task(submit(intake, batch(payload))) for payload in (b"2", b"3", b"4")]
    await asyncio.sleep(0)
    assert not first.done()
    writer.released.release()
    await entered(writer)
    writer.released.release()
    assert await asyncio.gather(first, *later) == [Invalid("1"), Invalid("2"), Invalid("3"), Invalid("4")]
    assert writer.groups == [[b"1"], [b"2", b"3", b"4"]]
    await intake.close(5)
    assert writer.closed
    assert intake.queued_bytes == 0


async def test_a_group_is_bounded_but_a_large_request_goes_alone() -> None:
    writer = HeldWriter()
    intake = GroupCommitQueue(lambda: writer, writers=1)
    tasks = [asyncio.create_task(submit(intake, batch(b"0")))]
    await entered(writer)
    sizes = [GROUP_BYTES + 1, GROUP_BYTES // 2, GROUP_BYTES // 2, 1]
    tasks += [asyncio.create_task(submit(intake, batch(b"x" * size))) for size in sizes]
    await asyncio.sleep(0)
    for _ in range(4):
        writer.released.release()
    await asyncio.gather(*tasks)
    assert [[len(payload) for payload in group] for group in writer.groups[1:]] == [[sizes[0]], sizes[1:3], [1]]
    await intake.close(5)


async def test_past_the_bound_requests_are_retryable() -> None:
    writer = HeldWriter()
    intake = GroupCommitQueue(lambda: writer, writers=1, max_queue_bytes=10)
    taken = asyncio.create_task(submit(intake, batch(b"x" * 50)))
    await entered(writer)
    assert isinstance(await submit(intake, batch(b"y")), Overloaded)
    writer.released.release()
    await taken
    more = asyncio.create_task(submit(intake, batch(b"z")))
    await entered(writer)
    writer.released.release()
    assert await more == Invalid("z")
    await intake.close(5)


async def test_a_stop_answers_what_it_could_not_store_and_takes_no_more() -> None:
    writer = HeldWriter()
    intake = GroupCommitQueue(lambda: writer, writers=1)
    held = asyncio.create_task(submit(intake, batch(b"held")))
    await entered(writer)
    waiting = asyncio.create_task(submit(intake, batch(b"waiting")))
    await asyncio.sleep(0)
    await intake.close(0)
    assert isinstance(await waiting, Unavailable)
    assert isinstance(await submit(intake, batch(b"late")), Unavailable)
    assert not held.done()
    writer.released.release()
    assert await held == Invalid("held")


async def test_a_batch_of_a_disconnected_sender_is_stored_and_its_outcome_reported() -> None:
    writer = HeldWriter()
    intake = GroupCommitQueue(lambda: writer, writers=1)
    first = asyncio.create_task(submit(intake, batch(b"1")))
    await entered(writer)
    settled: list[Outcome] = []
    gone = asyncio.create_task(intake.submit(batch(b"2"), settled.append, "a"))
    await asyncio.sleep(0)
    gone.cancel()
    writer.released.release()
    writer.released.release()
    await first
    await intake.close(5)
    assert writer.groups == [[b"1"], [b"2"]]
    assert gone.cancelled()
    assert settled == [Invalid("2")]


async def test_an_error_in_the_writer_makes_only_its_own_requests_retryable() -> None:
    writer = HeldWriter()
    writer.failing = True
    intake = GroupCommitQueue(lambda: writer, writers=1)
    first = asyncio.create_task(submit(intake, batch(b"1")))
    await entered(writer)
    writer.released.release()
    assert isinstance(await first, Unavailable)
    writer.failing = False
    second = asyncio.create_task(submit(intake, batch(b"2")))
    await entered(writer)
    writer.released.release()
    assert await second == Invalid("2")
    await intake.close(5)


async def test_a_full_queue_rejects_the_newest_of_who_has_most_in_it_and_takes_others() -> None:
    writer = HeldWriter()
    intake = GroupCommitQueue(lambda: writer, writers=1, max_queue_bytes=100)
    held = asyncio.create_task(submit(intake, batch(b"0"), "other"))
    await entered(writer)
    greedy = [asyncio.create_task(submit(intake, batch(b"%d" % number * 30), "greedy")) for number in (1, 2, 3)]
    await asyncio.sleep(0)
    assert isinstance(await submit(intake, batch(b"4" * 30), "greedy"), Overloaded), "its own are the most"
    modest = asyncio.create_task(submit(intake, batch(b"5" * 30), "modest"))
    await asyncio.sleep(0)
    assert isinstance(await greedy[2], Overloaded)
    assert not modest.done()
    assert intake.queued_bytes == 91
    for _ in range(4):
        writer.released.release()
    await asyncio.gather(held, modest, *greedy[:2])
    await intake.close(5)
    # In turn.
    assert [payload[:1] for group in writer.groups for payload in group] == [b"0", b"1", b"5", b"2"]


def holds(writer: HeldWriter) -> bytes:
    """The first byte of the last group that the writer was given."""
    return writer.groups[-1][0][:1] if writer.groups else b""


async def test_one_of_several_senders_does_not_get_all_writers_for_large_groups(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(group_commit, "_RECENT_SECONDS", 60.0)
    writers = [HeldWriter(), HeldWriter()]
    left = list(writers)
    intake = GroupCommitQueue(left.pop, writers=2)
    alone = [asyncio.create_task(submit(intake, batch(payload * 1_000_000), "greedy")) for payload in (b"1", b"2")]
    for writer in writers:
        await entered(writer)
        writer.released.release()
    await asyncio.gather(*alone)

    greedy = [asyncio.create_task(submit(intake, batch(b"3" * 1_000_000), "greedy"))]
    await asyncio.sleep(0)
    until(lambda: any(holds(writer) == b"3" for writer in writers), "the greedy one's writer")
    busy, free = sorted(writers, key=lambda writer: holds(writer) != b"3")
    modest = asyncio.create_task(submit(intake, batch(b"4"), "modest"))
    greedy.append(asyncio.create_task(submit(intake, batch(b"5" * 1_000_000), "greedy")))
    await asyncio.sleep(0)
    until(lambda: holds(free) == b"4", "the modest one's request")
    free.released.release()
    assert await modest == Invalid("4")
    again = asyncio.create_task(submit(intake, batch(b"6"), "modest"))
    await asyncio.sleep(0)
    until(lambda: holds(free) == b"6", "the modest one's next request, before the greedy one's")
    busy.released.release()
    until(lambda: holds(busy) == b"5", "the greedy one's next request, once its own writer is free")
    busy.released.release()
    free.released.release()
    await asyncio.gather(*greedy, again)
    await intake.close(5)


async def test_what_waits_and_how_long_the_last_took_is_known() -> None:
    writer = HeldWriter()
    intake = GroupCommitQueue(lambda: writer, writers=1, max_queue_bytes=4)
    state = intake.state()
    assert (state.waited, state.full) == (0, False)
    assert state.ago == math.inf
    first = asyncio.create_task(submit(intake, batch(b"1234")))
    await entered(writer)
    until(lambda: intake.state().waited > 0.05, "a request that waits")
    assert intake.state().full
    writer.released.release()
    await first
    state = intake.state()
    assert (state.waited, state.full, state.stored) == (0, False, True)
    assert state.took > 0.05
    writer.failing = True
    second = asyncio.create_task(submit(intake, batch(b"1")))
    writer.released.release()
    await second
    assert not intake.state().stored
    await intake.close(5)


def test_accepted_is_the_empty_answer() -> None:
    assert Accepted() == Accepted(0, "")

"""Tasks that take too long are interrupted, and nobody else; other people's cancellations are left alone."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from otelgres.collector.otlp.deadline import SharedDeadline


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await test()

    asyncio.run(bounded())


async def _for_ever() -> None:
    await asyncio.get_running_loop().create_future()


def test_a_block_that_takes_too_long_gets_a_timeout_error() -> None:
    async def test() -> None:
        deadline = SharedDeadline(0.05)

        async def slow() -> str:
            try:
                with deadline:
                    await _for_ever()
            except TimeoutError:
                task = asyncio.current_task()
                assert task is not None
                assert task.cancelling() == 0
                await asyncio.sleep(0)  # goes on as if nothing had happened
                return "too slow"
            return "never"

        async def quick() -> str:
            with deadline:
                await asyncio.sleep(0)
            return "quick"

        # Twice: the timer is started again by the next one.
        for _ in range(2):
            assert [*await asyncio.gather(slow(), quick(), slow())] == ["too slow", "quick", "too slow"]

    run(test)


def test_a_block_that_ends_in_time_is_not_interrupted_afterwards() -> None:
    async def test() -> None:
        deadline = SharedDeadline(0.02)
        for _ in range(3):
            with deadline:
                await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_for_ever(), 0.1)

    run(test)


def test_errors_and_cancellations_pass() -> None:
    async def test() -> None:
        deadline = SharedDeadline(20)
        with pytest.raises(KeyError), deadline:
            raise KeyError
        entered = asyncio.Event()

        async def cancelled() -> None:
            with deadline:
                entered.set()
                await _for_ever()

        task = asyncio.create_task(cancelled())
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(test)


def test_a_cancellation_together_with_ours_stays_one() -> None:
    async def test() -> None:
        deadline = SharedDeadline(0.02)
        interrupted = asyncio.Event()

        async def catches_once() -> None:
            with deadline:
                try:
                    await _for_ever()
                except asyncio.CancelledError:
                    interrupted.set()
                    await _for_ever()

        task = asyncio.create_task(catches_once())
        await interrupted.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(test)

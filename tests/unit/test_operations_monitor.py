"""``monitor_performance`` on every kind of callable: results and errors are untouched, what it cost is recorded."""

import asyncio
import time
from collections.abc import AsyncIterator, Generator
from typing import Any

import pytest

from otel_setup.operations import configure_operations, current_session_id, monitor_performance, session
from otel_setup.operations import logger as logger_module
from otel_setup.operations.labels import Tiers, batch_optimization, complexity, data_quality, sync_efficiency

Documents = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Documents:
    """The documents that were recorded, by kind."""
    documents: Documents = []

    def record(name: str, attributes: dict[str, Any], *, body: Any, severity: str) -> None:
        documents.append((attributes["otelgres.log_type"], body))

    monkeypatch.setattr(logger_module, "record_event", record)
    return documents


def busy(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_a_function(recorded: Documents) -> None:
    @monitor_performance("named", lead="x")
    def work(n: int) -> int:
        busy(0.02)
        return n + 1

    assert work(1) == 2
    ((kind, document),) = recorded
    assert (kind, document["operation_name"], document["context"]["lead"]) == ("performance_metrics", "named", "x")
    metrics = document["performance_metrics"]
    assert metrics["execution_time_ms"] >= metrics["cpu_time_ms"] * 0.9 >= 15
    assert metrics["memory_usage_mb"] > 1
    tier = Tiers().of(metrics["execution_time_ms"])  # a busy machine may take its time
    assert document["training_labels"] == {"operation_successful": True, "performance_tier": tier}


def test_without_parentheses_and_on_methods(recorded: Documents) -> None:
    class Thing:
        @monitor_performance
        def work(self) -> str:
            return "done"

    assert Thing().work() == "done"
    assert recorded[0][1]["operation_name"].endswith("Thing.work")
    assert Thing.work.__name__ == "work"


def test_what_is_raised_is_recorded_and_raised(recorded: Documents) -> None:
    @monitor_performance("failing")
    def work() -> None:
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        work()
    (_, performance), (kind, error) = recorded
    assert performance["training_labels"]["operation_successful"] is False
    assert kind == "error"
    assert error["error_details"]["error_type"] == "KeyError"
    assert "in work" in error["error_details"]["stack_trace"]
    assert error["context"]["operation_name"] == "failing"


def test_a_coroutine_function(recorded: Documents) -> None:
    @monitor_performance("async")
    async def work(n: int) -> int:
        over = asyncio.Event()
        asyncio.get_running_loop().call_later(0.03, over.set)
        await over.wait()
        return n

    assert asyncio.run(work(3)) == 3
    metrics = recorded[0][1]["performance_metrics"]
    assert metrics["execution_time_ms"] >= 25
    assert metrics["cpu_time_ms"] < metrics["execution_time_ms"]


def test_a_generator_is_timed_while_it_works(recorded: Documents) -> None:
    @monitor_performance("steps")
    def work() -> Generator[int, str, str]:
        try:
            got = yield 1
            assert got == "sent"
            yield 2
        except ValueError:
            yield 3
        return "end"

    steps = work()
    began = time.perf_counter()
    assert next(steps) == 1
    left = time.perf_counter()
    busy(0.05)
    away = time.perf_counter() - left
    assert steps.send("sent") == 2
    assert steps.throw(ValueError("x")) == 3
    with pytest.raises(StopIteration, match="end"):
        next(steps)
    assert recorded[0][1]["performance_metrics"]["execution_time_ms"] <= 1000 * (time.perf_counter() - began - away)
    assert len(recorded) == 1

    abandoned = work()
    next(abandoned)
    abandoned.close()
    assert len(recorded) == 2


def test_an_async_generator(recorded: Documents) -> None:
    @monitor_performance("async steps")
    async def work() -> AsyncIterator[int]:
        for n in range(3):
            yield n
        raise OSError("over")

    async def consume() -> list[int]:
        steps = work()
        seen = [await anext(steps) for _ in range(3)]
        with pytest.raises(OSError, match="over"):
            await anext(steps)
        return seen

    assert asyncio.run(consume()) == [0, 1, 2]
    assert [kind for kind, _ in recorded] == ["performance_metrics", "error"]


def test_sessions_are_of_a_block_or_of_the_process() -> None:
    outside = current_session_id()
    with session() as one, session("abcd1234") as two:
        assert (len(one), two, current_session_id()) == (8, "abcd1234", "abcd1234")
    assert current_session_id() == outside


def test_labels() -> None:
    assert [Tiers().of(ms) for ms in (150.5, 200, 700, 4999, 5000, None)] == [
        "excellent", "good", "acceptable", "slow", "very_slow", "unknown",
    ]  # fmt: skip
    assert Tiers(excellent=10).of(11) == "good"
    assert [data_quality({"a": 1, "b": ""}, fields) for fields in (["a"], ["a", "b"], ["b"], [])] == [
        "high", "medium", "low", "unknown",
    ]  # fmt: skip
    assert [complexity(2, 1), complexity(1, None), complexity(1, 9)] == ["medium", "low", "high"]
    assert [sync_efficiency(7, 1), sync_efficiency(0, 0), sync_efficiency(0, 1)] == ["good", "excellent", "poor"]
    assert [batch_optimization(10, 8), batch_optimization(10, 1), batch_optimization(10, 11)] == [
        "optimal", "underfilled", "split",
    ]  # fmt: skip


def test_nothing_that_is_given_can_fail_the_work(recorded: Documents) -> None:
    class Unusual:
        def __str__(self) -> str:
            raise RuntimeError("no")

    logger = configure_operations()
    logger.log_database_operation({"name": Unusual()}, {"success": Unusual()}, {"training_labels": 3})
    logger.log_error(Unusual(), {})  # type: ignore[arg-type]
    logger.log_database_event("whatever", None, None, None)
    assert recorded[-1][1]["operation_details"]["operation_type"] == "whatever"

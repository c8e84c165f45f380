"""A signal that arrives while the chaos run starts a process."""

import signal

import pytest

from otelgres.collector.tools.chaos.interrupts import interruptible, uninterrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_takes_effect_after_the_start(number: signal.Signals) -> None:
    steps = []
    with pytest.raises(KeyboardInterrupt), interruptible():  # noqa: PT012 (where it is raised is what is tested)
        with uninterrupted():
            signal.raise_signal(number)
            steps.append("started")
        steps.append("not reached")
    assert steps == ["started"]


def test_handlers_are_as_before() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with interruptible(), uninterrupted():
        pass
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before

"""Sinks in order: what one cannot take just now goes to the next. And what a sink is.

Refuses to know what the sinks are and who counts.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from otelgres.exporters.batch import Batch
from otelgres.exporters.outcome import Outcome, Overloaded, Unavailable


class Sink(Protocol):
    """Where batches may go. One thread at a time, unless a sink says otherwise."""

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        """What became of each batch, in order. Never raises for data or for the world behind the sink."""
        ...

    def close(self) -> None:
        """Lets go of what is open; the next write opens it again. A second call does nothing."""
        ...


def wants_it_again(outcome: Outcome) -> bool:
    """Whether the batch was not taken but may be, there later or elsewhere now."""
    return isinstance(outcome, Overloaded | Unavailable)


class Chain:
    """Tries ``steps`` (by name, in order). ``tell`` hears of every answer of every step: step, batch, outcome."""

    def __init__(
        self,
        steps: Mapping[str, Sink],
        tell: Callable[[str, Batch, Outcome], None] = lambda step, batch, outcome: None,
    ) -> None:
        self._steps = dict(steps)
        self._tell = tell

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        """The first answer of each batch that is final, else the last step's. A step that raises is passed over."""
        outcomes: list[Outcome] = [Unavailable(1.0, "there is nowhere to send to")] * len(batches)
        left = list(range(len(batches)))
        for name, sink in self._steps.items():
            if not left:
                break
            given = [batches[place] for place in left]
            try:
                answers = sink.write(given)
            except Exception as error:  # noqa: BLE001 — a broken step must not keep a batch from the next one
                answers = [Unavailable(1.0, f"{name} raised {type(error).__name__}: {error}")] * len(given)
            for place, batch, answer in zip(left, given, answers, strict=True):
                outcomes[place] = answer
                self._tell(name, batch, answer)
            left = [place for place in left if wants_it_again(outcomes[place])]
        return outcomes

    def close(self) -> None:
        """Closes every step."""
        for sink in self._steps.values():
            sink.close()

"""Sinks in order: what one cannot take just now goes to the next. And what a exporter is.

Refuses to know what the exporters are and who counts.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from otelgres.exporters.batch import Batch
from otelgres.exporters.outcome import Outcome, Overloaded, Unavailable


class Exporter(Protocol):
    """Where batches may go. One thread at a time, unless a exporter says otherwise."""

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        """What became of each batch, in order. Never raises for data or for the world behind the exporter."""
        ...

    def close(self) -> None:
        """Lets go of what is open; the next write opens it again. A second call does nothing."""
        ...


def is_retryable(outcome: Outcome) -> bool:
    """Whether the batch was not taken but may be, there later or elsewhere now."""
    return isinstance(outcome, Overloaded | Unavailable)


class Chain:
    """Tries ``steps`` (by name, in order). ``observer`` hears of every answer of every step: step, batch, outcome."""

    def __init__(
        self,
        steps: Mapping[str, Exporter],
        observer: Callable[[str, Batch, Outcome], None] = lambda step, batch, outcome: None,
    ) -> None:
        self._steps = dict(steps)
        self._observer = observer

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        """The first answer of each batch that is final, else the last step's. A step that raises is passed over."""
        outcomes: list[Outcome] = [Unavailable(1.0, "there is nowhere to send to")] * len(batches)
        left = list(range(len(batches)))
        for name, exporter in self._steps.items():
            if not left:
                break
            given = [batches[place] for place in left]
            try:
                answers = exporter.write(given)
            except Exception as error:  # noqa: BLE001 — a broken step must not keep a batch from the next one
                answers = [Unavailable(1.0, f"{name} raised {type(error).__name__}: {error}")] * len(given)
            for place, batch, answer in zip(left, given, answers, strict=True):
                outcomes[place] = answer
                self._observer(name, batch, answer)
            left = [place for place in left if is_retryable(outcomes[place])]
        return outcomes

    def close(self) -> None:
        """Closes every step."""
        for exporter in self._steps.values():
            exporter.close()

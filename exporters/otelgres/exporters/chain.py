"""The ``Exporter`` protocol, and a chain of exporters: a batch that one cannot take now is passed to the next."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from otelgres.exporters.batch import Batch
from otelgres.exporters.outcome import Outcome, Overloaded, Unavailable


class Exporter(Protocol):
    """A destination of batches. For one thread at a time, unless an exporter documents otherwise."""

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        """Returns the outcome of each batch, in order. Never raises for data or for errors of the destination."""
        ...

    def close(self) -> None:
        """Closes open resources; the next write opens them again. A second call does nothing."""
        ...


def is_retryable(outcome: Outcome) -> bool:
    """Whether the batch was not accepted but may be: later by the same exporter, or now by another."""
    return isinstance(outcome, Overloaded | Unavailable)


class Chain:
    """Tries the exporters ``steps`` (by name, in order). ``observer`` is called with each step, batch and outcome."""

    def __init__(
        self,
        steps: Mapping[str, Exporter],
        observer: Callable[[str, Batch, Outcome], None] = lambda step, batch, outcome: None,
    ) -> None:
        self._steps = dict(steps)
        self._observer = observer

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        """The first final outcome of each batch, else that of the last step. An exception counts as Unavailable."""
        outcomes: list[Outcome] = [Unavailable(1.0, "no exporter is configured")] * len(batches)
        remaining = list(range(len(batches)))
        for name, exporter in self._steps.items():
            if not remaining:
                break
            given = [batches[index] for index in remaining]
            try:
                answers = exporter.write(given)
            except Exception as error:  # noqa: BLE001 — a broken step must not block the next one
                answers = [Unavailable(1.0, f"{name} raised {type(error).__name__}: {error}")] * len(given)
            for index, batch, answer in zip(remaining, given, answers, strict=True):
                outcomes[index] = answer
                self._observer(name, batch, answer)
            remaining = [index for index in remaining if is_retryable(outcomes[index])]
        return outcomes

    def close(self) -> None:
        """Closes every step."""
        for exporter in self._steps.values():
            exporter.close()

"""The console as a step after a handler that prints there already: each record is seen once, and counted.

Refuses to know handlers.
"""

from collections.abc import Callable, Sequence

from otelgres.exporters.batch import Batch
from otelgres.exporters.chain import Sink
from otelgres.exporters.outcome import Accepted, Outcome


class Shown:
    """Accepts what ``shown`` says was printed when it was logged; the rest goes to ``console``."""

    def __init__(self, shown: Callable[[], bool], console: Sink) -> None:
        self._shown = shown
        self._console = console

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        """Accepted, or what the console answers."""
        return [Accepted() for _ in batches] if self._shown() else self._console.write(batches)

    def close(self) -> None:
        """Closes the console's step."""
        self._console.close()

"""The console as a step after a handler that prints there already: each record is seen once, and counted.

Refuses to know handlers.
"""

from collections.abc import Callable, Sequence

from otelgres.exporters.batch import Batch
from otelgres.exporters.chain import Exporter
from otelgres.exporters.outcome import Accepted, Outcome


class DeduplicatingConsole:
    """Accepts what ``already_printed`` says was printed when it was logged; the rest goes to ``console``."""

    def __init__(self, already_printed: Callable[[], bool], console: Exporter) -> None:
        self._already_printed = already_printed
        self._console = console

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        """Accepted, or what the console answers."""
        return [Accepted() for _ in batches] if self._already_printed() else self._console.write(batches)

    def close(self) -> None:
        """Closes the console's step."""
        self._console.close()

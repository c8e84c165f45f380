"""The console as a fallback step behind a handler that prints to it as well: each record is printed once."""

from collections.abc import Callable, Sequence

from otelgres.exporters.batch import Batch
from otelgres.exporters.chain import Exporter
from otelgres.exporters.outcome import Accepted, Outcome


class DeduplicatingConsole:
    """Accepts batches without printing while ``already_printed`` returns True; otherwise writes to ``console``."""

    def __init__(self, already_printed: Callable[[], bool], console: Exporter) -> None:
        self._already_printed = already_printed
        self._console = console

    def write(self, batches: Sequence[Batch]) -> list[Outcome]:
        """Accepted for each batch, or the outcomes of the console."""
        return [Accepted() for _ in batches] if self._already_printed() else self._console.write(batches)

    def close(self) -> None:
        """Closes the console."""
        self._console.close()

"""Output with colours, for terminals and pipes."""

from collections.abc import Iterable
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from otelgres.collector.system.terminal import stripped


class TerminalConsole(Console):
    """rich's console for text that others wrote: in it nothing is markup, an emoji's name, a link or a sequence.

    What is printed has no control characters but those of the console's own styles and movements.
    """

    def __init__(self, *, file: IO[str] | None = None, **options: Any) -> None:
        super().__init__(file=file, markup=False, emoji=False, **options)

    @property
    def file(self) -> IO[str]:
        """The stream itself if it is guarded: the guard would escape the console's own sequences."""
        found: IO[str] = super().file
        unguarded: IO[str] = getattr(found, "unguarded", found)
        return unguarded

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of ``renderable``. All output of a console comes through here."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
                continue
            style = segment.style
            if style is not None and style.link:
                style = style.update_link()
            yield Segment(stripped(segment.text), style)

"""What an attack showed, and the table that ``make attack`` prints."""

from collections.abc import Iterable
from typing import NamedTuple


class Result(NamedTuple):
    """One attack: its group and name, the figures that were measured, and whether the promise held."""

    group: str
    name: str
    figures: str
    held: bool


def table(results: Iterable[Result]) -> str:
    """The results as aligned lines, those that did not hold last."""
    ordered = sorted(results, key=lambda result: not result.held)
    width = max((len(result.name) for result in ordered), default=0)
    group = max((len(result.group) for result in ordered), default=0)
    return "\n".join(
        f"{'held' if result.held else 'BROKEN':6}  {result.group:{group}}  {result.name:{width}}  {result.figures}"
        for result in ordered
    )

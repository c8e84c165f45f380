"""Sends files to an OTLP receiver: spool files of applications and receivers, quarantined batches, and OTLP/JSON lines
as written by the file exporter of the OpenTelemetry Collector.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

import orjson

from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.chain import Exporter, is_retryable
from otelgres.exporters.items import count_items
from otelgres.exporters.otlp_json import InvalidJson, JsonTooLarge, request_from_json
from otelgres.exporters.outcome import Accepted, Overloaded, Unavailable
from otelgres.exporters.spool.bound import QUARANTINE
from otelgres.exporters.spool.files import SpoolFile, open_file, spool_files

_JSON_SUFFIXES: Final = frozenset({".json", ".jsonl", ".ndjson"})
_KEYS: Final = {
    "resourceSpans": Signal.TRACES, "resource_spans": Signal.TRACES,
    "resourceMetrics": Signal.METRICS, "resource_metrics": Signal.METRICS,
    "resourceLogs": Signal.LOGS, "resource_logs": Signal.LOGS,
}  # fmt: skip
# Attempts for a batch at an overloaded receiver; an unavailable receiver ends the replay.
_ATTEMPTS: Final = 5
_LONGEST_WAIT: Final = 10.0


class Removal(Enum):
    """Which files are removed once they are completely sent."""

    SPOOL = "spool"
    ALL = "all"
    NONE = "none"


@dataclass(slots=True)
class ReplayResult:
    """The result for one file. ``left`` is the reason why a part was not sent ("" if all was sent)."""

    path: Path
    batches: int = 0
    items: int = 0
    refused: int = 0
    reason: str = ""
    damaged: int = 0
    left: str = ""


class ReceiverUnavailable(Exception):  # noqa: N818 (named for the reported state)
    """The receiver is unavailable."""


def size(folder: Path) -> int:
    """Bytes of all files that :func:`replay` would send."""
    return sum(path.stat().st_size for path in _files(folder))


def replay(
    folder: Path,
    exporter: Exporter,
    removal: Removal,
    report: Callable[[ReplayResult], None],
    advance: Callable[[float], None] = lambda amount: None,
) -> list[ReplayResult]:
    """Sends every file in ``folder`` (or the file ``folder``), oldest first; calls ``report`` with each result.

    ``advance`` is called with numbers of processed bytes. If the receiver is unavailable, the remaining files are kept.
    Files in use by a running application are kept too.
    """
    results = []
    unavailable = ""
    for path in _files(folder):
        result = ReplayResult(path)
        send_file = _replay_lines if path.suffix in _JSON_SUFFIXES else _replay_spool
        try:
            if unavailable:
                result.left = unavailable
            else:
                send_file(path, exporter, removal, result, advance)
        except ReceiverUnavailable as error:
            unavailable = result.left = str(error)
        except OSError as error:
            result.left = f"cannot be read: {error.strerror or error}"
        results.append(result)
        report(result)
    return results


def _files(folder: Path) -> list[Path]:
    if folder.is_file():
        return [folder]
    lines = (path for path in folder.iterdir() if path.suffix in _JSON_SUFFIXES and path.is_file())
    spooled = [path for spool in _spool_folders(folder) for path in spool_files(spool)]
    return [*spooled, *sorted(lines, key=lambda path: (path.stat().st_mtime_ns, path.name))]


def _spool_folders(folder: Path) -> list[Path]:
    """``folder`` itself and the numbered receivers' folders in it, then the quarantine of each."""
    receivers = [path for path in folder.iterdir() if path.name.isdigit() and path.is_dir() and not path.is_symlink()]
    spools = [folder, *sorted(receivers, key=lambda path: int(path.name))]
    return [*spools, *(path for spool in spools if (path := spool / QUARANTINE).is_dir())]


def _replay_spool(
    path: Path, exporter: Exporter, removal: Removal, result: ReplayResult, advance: Callable[[float], None]
) -> None:
    file = open_file(path)
    if file is None:
        result.left = "in use by a running application or receiver, or not readable"
        return
    keep = removal is Removal.NONE
    if keep:
        file.keep()
    with file:
        _send_records(file, exporter, result, advance, keep=keep)


def _send_records(
    file: SpoolFile, exporter: Exporter, result: ReplayResult, advance: Callable[[float], None], *, keep: bool
) -> None:
    if file.foreign:
        result.left = "not a spool file"
        return
    for entry in file.pending():
        batch = file.read(entry)
        if batch is None:
            continue
        _send(batch, exporter, result)
        advance(entry.length)
        if not keep:
            file.settle(entry)
    result.damaged = max(file.lost, 1) if file.damaged else 0


def _replay_lines(
    path: Path, exporter: Exporter, removal: Removal, result: ReplayResult, advance: Callable[[float], None]
) -> None:
    for batch in _batches(path, result, advance):
        _send(batch, exporter, result)
    if result.damaged:
        result.left = "some lines are not OTLP/JSON; the file is kept"
    elif removal is Removal.ALL:
        path.unlink()


def _batches(path: Path, result: ReplayResult, advance: Callable[[float], None]) -> Iterator[Batch]:
    """The requests in ``path``, one per line; other lines are counted as damaged."""
    with path.open("rb") as file:
        for line in file:
            if not line.strip():
                continue
            try:
                signal = _signal(line)
                yield Batch(signal, request_from_json(signal, line))
            except (InvalidJson, JsonTooLarge):
                result.damaged += 1
            advance(len(line))


def _signal(line: bytes) -> Signal:
    try:
        tree = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InvalidJson(str(error)) from error
    signals = {_KEYS[key] for key in tree if key in _KEYS} if isinstance(tree, dict) else set()
    if len(signals) != 1:
        raise InvalidJson("neither resourceSpans nor resourceMetrics nor resourceLogs")
    return signals.pop()


def _send(batch: Batch, exporter: Exporter, result: ReplayResult) -> None:
    """Sends a batch and adds its final outcome to the result. Raises ReceiverUnavailable."""
    for attempt in range(_ATTEMPTS):
        outcome = exporter.write([batch])[0]
        if not is_retryable(outcome):
            break
        if isinstance(outcome, Unavailable | Overloaded):
            if attempt + 1 == _ATTEMPTS or (isinstance(outcome, Unavailable) and attempt):
                raise ReceiverUnavailable(outcome.message)
            time.sleep(min(max(outcome.retry_after, 0.1), _LONGEST_WAIT))
    items = count_items(batch)
    refused = min(outcome.rejected, items) if isinstance(outcome, Accepted) else items
    result.batches += 1
    result.items += items - refused
    result.refused += refused
    if refused:
        result.reason = outcome.message

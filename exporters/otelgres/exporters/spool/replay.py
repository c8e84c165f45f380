"""Sends files to an OTLP receiver: spool files of applications and receivers, quarantined batches, and OTLP/JSON lines
as written by the file exporter of the OpenTelemetry Collector.

A file of which anything was not sent is never removed.
"""

import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import BinaryIO, Final

from otelgres.exporters.batch import Batch
from otelgres.exporters.chain import Exporter, is_retryable
from otelgres.exporters.items import count_items
from otelgres.exporters.otlp_json import InvalidJson, batch_from_json
from otelgres.exporters.outcome import Accepted, Overloaded, Unavailable
from otelgres.exporters.outline import TooManyParts
from otelgres.exporters.plural import counted
from otelgres.exporters.spool.candidates import JSON_SUFFIXES, Candidate
from otelgres.exporters.spool.files import SpoolFile
from otelgres.exporters.spool.lock import open_regular

# Attempts for a batch at an overloaded receiver; an unavailable receiver ends the replay.
_ATTEMPTS: Final = 5
_LONGEST_WAIT: Final = 10.0
# Four times the size of a request that a receiver takes by default: protobuf is several times smaller than its JSON.
_LONGEST_LINE: Final = 256 * 1024 * 1024
_NOT_WRITABLE: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class Removal(Enum):
    """Which files are removed once they are completely sent."""

    SPOOL = "spool"
    ALL = "all"
    NONE = "none"


@dataclass(slots=True)
class ReplayResult:
    """The result for one file. ``left`` is the reason why a part was not sent or the file could not be removed ("" if
    all was sent); ``reason`` is the receiver's for the ``refused`` items.
    """

    path: Path
    batches: int = 0
    items: int = 0
    refused: int = 0
    reason: str = ""
    damaged: int = 0
    left: str = ""
    gone: bool = False
    """Whether another process has removed the file, so that it sends it."""


class ReceiverUnavailable(Exception):  # noqa: N818 (named for the reported state)
    """The receiver is unavailable."""


def replay(
    files: Sequence[Candidate],
    exporter: Exporter,
    removal: Removal,
    report: Callable[[ReplayResult], None],
    advance: Callable[[float], None] = lambda amount: None,
) -> list[ReplayResult]:
    """Sends every file in order; calls ``report`` with each result.

    ``advance`` is called with numbers of processed bytes. If the receiver is unavailable, the remaining files are kept.
    Files in use by a running application are kept too.
    """
    results = []
    unavailable = ""
    for candidate in files:
        path = candidate.path
        result = ReplayResult(path, left=candidate.problem or unavailable)
        send_file = _replay_lines if path.suffix in JSON_SUFFIXES else _replay_spool
        try:
            if not result.left:
                send_file(path, exporter, removal, result, advance)
        except ReceiverUnavailable as error:
            unavailable = result.left = str(error)
        except (OSError, MemoryError) as error:
            result.left = f"cannot be read: {getattr(error, 'strerror', None) or str(error) or 'not enough memory'}"
        results.append(result)
        report(result)
    return results


def _replay_spool(
    path: Path, exporter: Exporter, removal: Removal, result: ReplayResult, advance: Callable[[float], None]
) -> None:
    keep = removal is Removal.NONE
    file = _open(path, keep=keep)
    if file is None:
        result.gone = not os.path.lexists(path)
        result.left = "" if result.gone else "in use by a running application or receiver"
        return
    try:
        result.left = _unsendable(file)
        if result.left:
            return
        refused = _send_records(file, exporter, result, advance, keep=keep)
        result.damaged = file.lost
        result.left = "; ".join(reason for reason in (refused, _damage(file)) if reason)
        if not result.left and not keep:
            failure = file.remove()
            if failure is not None and not isinstance(failure, FileNotFoundError):
                result.left = f"all is sent, but the file cannot be removed: {failure.strerror or failure}"
    finally:
        file.close()


def _open(path: Path, *, keep: bool) -> SpoolFile | None:
    """Raises OSError."""
    try:
        return SpoolFile.open(path, read_only=keep)
    except OSError as error:
        # To send and to remove a file it need not be writable.
        if keep or error.errno not in _NOT_WRITABLE:
            raise
    return SpoolFile.open(path, read_only=True)


def _unsendable(file: SpoolFile) -> str:
    if file.version:
        return (
            f"written by another version of otelgres (spool format {file.version}): replay it with that version, "
            "the file is kept"
        )
    if file.foreign:
        return "not a spool file, or damaged in every part"
    if file.incomplete:
        return "contains nothing: its process ended when it created the file, or the content is lost; remove it"
    return ""


def _damage(file: SpoolFile) -> str:
    if not file.damaged:
        return ""
    what = f"{counted(file.lost, 'batch', 'batches')} and {counted(file.damaged_bytes, 'byte')} cannot be read"
    return f"damaged, {what}; the rest is sent, the file is kept"


def _send_records(
    file: SpoolFile, exporter: Exporter, result: ReplayResult, advance: Callable[[float], None], *, keep: bool
) -> str:
    """Why batches are left, if any are. Raises OSError or ReceiverUnavailable."""
    refused = 0
    for entry in file.pending():
        batch = file.read(entry)
        if batch is None:
            continue
        if not _send(batch, exporter, result):
            refused += 1
        elif not keep:
            file.settle(entry)
        advance(entry.length)
    return f"{counted(refused, 'batch', 'batches')} rejected" if refused else ""


def _replay_lines(
    path: Path, exporter: Exporter, removal: Removal, result: ReplayResult, advance: Callable[[float], None]
) -> None:
    refused = 0
    with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
        for batch in _batches(file, result, advance):
            refused += not _send(batch, exporter, result)
        if result.damaged or refused:
            what = [f"{counted(result.damaged, 'line')} not OTLP/JSON"] if result.damaged else []
            what += [f"{counted(refused, 'request')} rejected"] if refused else []
            result.left = f"{' and '.join(what)}; the file is kept"
        elif removal is Removal.ALL:
            result.left = _remove_lines(path, file)


def _remove_lines(path: Path, file: BinaryIO) -> str:
    """Removes the file unless it has changed since it was read; the reason why it is left, if it is."""
    try:
        read, now = os.fstat(file.fileno()), path.lstat()
    except FileNotFoundError:
        return ""
    if (read.st_dev, read.st_ino, read.st_size) != (now.st_dev, now.st_ino, file.tell()):
        return "changed while it was sent; run the command again"
    if os.name == "nt":  # which removes no open file
        file.close()
    try:
        path.unlink()
    except OSError as error:
        return f"all is sent, but the file cannot be removed: {error.strerror or error}"
    return ""


def _batches(file: BinaryIO, result: ReplayResult, advance: Callable[[float], None]) -> Iterator[Batch]:
    """The requests in ``file``, one per line; other lines are counted as damaged."""
    while line := file.readline(_LONGEST_LINE):
        length = len(line)
        if length == _LONGEST_LINE and not line.endswith(b"\n"):
            result.damaged += 1
            while (rest := file.readline(1 << 20)) and not rest.endswith(b"\n"):
                pass
        elif line.strip():
            try:
                yield batch_from_json(line)
            except (InvalidJson, TooManyParts):
                result.damaged += 1
        advance(length)


def _send(batch: Batch, exporter: Exporter, result: ReplayResult) -> bool:
    """Sends a batch, adds its final outcome to the result, and returns whether the receiver has taken it.

    Raises ReceiverUnavailable.
    """
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
    taken = isinstance(outcome, Accepted)
    if refused or not taken:
        result.reason = outcome.message
    return taken

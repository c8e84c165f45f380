"""What ``otelgres replay`` finds in a folder: files to send, and what cannot be sent, with the reason. Opens no file.

Files may be added and removed at any time: what has gone by the time it is looked at is left out.
"""

import contextlib
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from otelgres.exporters.spool.bound import QUARANTINE
from otelgres.exporters.spool.files import SUFFIX

JSON_SUFFIXES: Final = frozenset({".json", ".jsonl", ".ndjson"})
_Entries: TypeAlias = Sequence[tuple[Path, os.stat_result]]
_KINDS: Final = {
    stat.S_IFLNK: "a symbolic link, which is not followed",
    stat.S_IFDIR: "a folder, not a file",
    stat.S_IFIFO: "a FIFO, not a file",
    stat.S_IFSOCK: "a socket, not a file",
    stat.S_IFCHR: "a device, not a file",
    stat.S_IFBLK: "a device, not a file",
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file of ``size`` bytes; or a file or folder that cannot be sent because of ``problem``."""

    path: Path
    size: int = 0
    problem: str = ""


def candidates(target: Path) -> list[Candidate]:
    """The file ``target``, or what is in the folder ``target``: the spool files, oldest first, of the folder and of the
    receivers' numbered folders in it, then of the quarantine of each; then the folder's OTLP/JSON files, oldest first.

    Files with other names are left out. Never raises.
    """
    # A link is followed only if it is the one that was named.
    target = Path(os.path.realpath(target))
    try:
        state = target.stat()
    except OSError as error:
        return [_failed(target, error)]
    if not stat.S_ISDIR(state.st_mode):
        return [_candidate(target, state)]
    problems: list[Candidate] = []
    top = _entries(target, problems)
    receivers = _folders(top, lambda name: name.isascii() and name.isdecimal(), problems)
    spools = [top, *(_entries(path, problems) for path in sorted(receivers, key=lambda path: int(path.name)))]
    quarantines = [path for spool in spools for path in _folders(spool, lambda name: name == QUARANTINE, problems)]
    folders = [*spools, *(_entries(path, problems) for path in quarantines)]
    lines = [(path, state) for path, state in top if path.suffix in JSON_SUFFIXES]
    lines.sort(key=lambda entry: (entry[1].st_mtime_ns, entry[0].name))
    spooled = [(path, state) for entries in folders for path, state in entries if path.suffix == SUFFIX]
    return [*(_candidate(path, state) for path, state in (*spooled, *lines)), *problems]


def _entries(folder: Path, problems: list[Candidate]) -> _Entries:
    """Everything in ``folder``, sorted by name, links not followed; nothing and a problem if that cannot be read."""
    found = []
    try:
        for path in sorted(folder.iterdir()):
            with contextlib.suppress(FileNotFoundError):
                found.append((path, path.lstat()))
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(_failed(folder, error))
        return []
    return found


def _folders(entries: _Entries, wanted: Callable[[str], bool], problems: list[Candidate]) -> list[Path]:
    found = []
    for path, state in entries:
        if wanted(path.name):
            if stat.S_ISDIR(state.st_mode):
                found.append(path)
            elif stat.S_ISLNK(state.st_mode):
                problems.append(_candidate(path, state))
    return found


def _candidate(path: Path, state: os.stat_result) -> Candidate:
    if stat.S_ISREG(state.st_mode):
        return Candidate(path, state.st_size)
    return Candidate(path, problem=_KINDS.get(stat.S_IFMT(state.st_mode), "not a file"))


def _failed(path: Path, error: OSError) -> Candidate:
    return Candidate(path, problem=f"cannot be read: {error.strerror or error}")

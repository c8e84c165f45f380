"""Splits rows by session into two parts and writes them to files with a manifest."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final

from otelgres.collector.inspect.tabular import Column, Writer
from otelgres.collector.inspect.tabular.plain import as_json

PARTS: Final = ("train", "validation")


def part_of(session: str | None, seed: int, validation: float) -> str:
    """``train`` or ``validation``; depends only on session, seed and share."""
    digest = hashlib.sha256(f"{seed}:{session}".encode()).digest()
    return PARTS[1] if int.from_bytes(digest[:8]) / 2**64 < validation else PARTS[0]


class JsonLines:
    """One JSON object per line."""

    def __init__(self, columns: Sequence[Column], out: IO[str]) -> None:
        self._names = [column.name for column in columns]
        self._out = out

    def __enter__(self) -> "JsonLines":
        return self

    def __exit__(self, *error: object) -> None:
        return

    def write(self, row: Sequence[Any]) -> None:
        """Writes one row."""
        self._out.write(as_json(dict(zip(self._names, row, strict=True))) + "\n")


def write(
    rows: Iterable[dict[str, Any]], columns: Sequence[Column], folder: Path, form: str, seed: int, validation: float
) -> dict[str, Any]:
    """Writes ``train``, ``validation`` and ``manifest.json`` into ``folder``, and returns the manifest.

    At most one row group is in memory. Raises OSError, and ImportError for Parquet without pyarrow.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counts: dict[str, Counter[str]] = {part: Counter() for part in PARTS}
    sessions: dict[str, set[str]] = {part: set() for part in PARTS}
    with ExitStack() as stack:
        writers: dict[str, Writer] = {}
        for part in PARTS:
            path = folder / f"{part}.{form}"
            if form == "parquet":
                from otelgres.collector.inspect.tabular.parquet import ParquetWriter

                writers[part] = stack.enter_context(ParquetWriter(columns, stack.enter_context(path.open("wb"))))
            else:
                writers[part] = stack.enter_context(
                    JsonLines(columns, stack.enter_context(path.open("w", encoding="utf-8")))
                )
        for row in rows:
            part = part_of(row["session_id"], seed, validation)
            writers[part].write([row[column.name] for column in columns])
            counts[part][row["log_type"]] += 1
            sessions[part].add(str(row["session_id"]))
    manifest = {
        "format": form,
        "seed": seed,
        "validation": validation,
        "split_by": "session_id",
        "parts": {
            part: {
                "file": f"{part}.{form}",
                "documents": sum(counts[part].values()),
                "sessions": len(sessions[part]),
                "by_log_type": dict(sorted(counts[part].items())),
            }
            for part in PARTS
        },
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return manifest

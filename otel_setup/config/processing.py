"""Resolves the settings for fallback, spool, redaction and size limits of values.

No I/O: arguments and ``OTELGRES_TELEMETRY_*`` variables in, settings and warnings out.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from otel_setup.api.values import text
from otelgres.exporters.redaction import Redaction, rules
from otelgres.exporters.user_folder import user_folder

PREFIX: Final = "OTELGRES_TELEMETRY_"
STEPS: Final = ("spool", "console", "stderr")
DEFAULT_SPOOL_BYTES: Final = 128 * 1024 * 1024
DEFAULT_ATTRIBUTE_BYTES: Final = 64 * 1024
DEFAULT_BODY_BYTES: Final = 256 * 1024
_VARIABLES: Final = ("SPOOL", "SPOOL_BYTES", "FALLBACK", "REDACT", "MAX_ATTRIBUTE_BYTES", "MAX_BODY_BYTES")
# Variables that other modules read.
_OTHERS: Final = ("REPORT_INTERVAL", "DSN", "OPERATIONS_DIRECTORY")
_OFF: Final = frozenset({"off", "none", "false", "no", "0"})
_ON: Final = frozenset({"on", "true", "yes", "1"})
# A truncated value has a marker of up to 48 bytes.
_MIN_BYTES: Final = 256


@dataclass(frozen=True, slots=True)
class ProcessingSettings:
    """``fallback`` holds the steps in order, each at most once; ``spool`` None is the service's default directory."""

    fallback: tuple[str, ...]
    spool: Path | None
    spool_bytes: int
    redaction: Redaction | None
    attribute_bytes: int
    body_bytes: int


def resolve_processing(given: Any, environ: Mapping[str, str], warnings: list[str]) -> ProcessingSettings:
    """Settings from the ``Arguments`` and ``environ``; adds to ``warnings`` for each invalid value."""
    unknown = sorted(
        name for name in environ if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in (*_VARIABLES, *_OTHERS)
    )
    if unknown:
        warnings.append(
            f"unknown variable {', '.join(unknown)}: supported are {PREFIX}{', '.join((*_VARIABLES, *_OTHERS))}"
        )
    spool, off = _spool(given.spool, environ, warnings)
    fallback = _fallback(given.fallback, environ, warnings)
    return ProcessingSettings(
        fallback=tuple(step for step in fallback if not (off and step == "spool")),
        spool=spool,
        spool_bytes=_bytes("spool_bytes", given.spool_bytes, environ, DEFAULT_SPOOL_BYTES, warnings),
        redaction=_redaction(given.redact, environ, warnings),
        attribute_bytes=_bytes(
            "max_attribute_bytes", given.max_attribute_bytes, environ, DEFAULT_ATTRIBUTE_BYTES, warnings
        ),
        body_bytes=_bytes("max_body_bytes", given.max_body_bytes, environ, DEFAULT_BODY_BYTES, warnings),
    )


def default_spool(service_name: str) -> Path:
    """The service's directory below the user's state directory. Raises RuntimeError without a home directory."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", service_name).lstrip(".")[:100] or "_"
    return user_folder("state") / "telemetry" / name


def _spool(given: Any, environ: Mapping[str, str], warnings: list[str]) -> tuple[Path | None, bool]:
    """The directory (None: the default) and whether the spool is off."""
    for source, value in (("spool", given), (PREFIX + "SPOOL", environ.get(PREFIX + "SPOOL", "").strip() or None)):
        if value is None or value is True:
            continue
        if value is False or (isinstance(value, str) and value.strip().lower() in _OFF):
            return None, True
        path = os.fspath(value) if isinstance(value, str | os.PathLike) else None
        if path and isinstance(path, str) and "\0" not in path:
            return Path(path).absolute(), False
        warnings.append(f"{source}={text(value)!r} is not a directory: the default is used")
    return None, False


def _fallback(given: Any, environ: Mapping[str, str], warnings: list[str]) -> tuple[str, ...]:
    name = PREFIX + "FALLBACK"
    for source, value in (("fallback", given), (name, environ.get(name))):
        if value is None or (value == "" and source == name):
            continue
        if isinstance(value, str):
            value = () if value.strip().lower() in _OFF else [part.strip().lower() for part in value.split(",")]
        if isinstance(value, Sequence) and all(step in STEPS for step in value):
            return tuple(dict.fromkeys(value))
        warnings.append(
            f"{source}={text(value)!r} is invalid: expected a list of {', '.join(STEPS)}, in order of use; "
            "the default is used"
        )
    return STEPS


def _redaction(given: Any, environ: Mapping[str, str], warnings: list[str]) -> Redaction | None:
    name = PREFIX + "REDACT"
    for source, value in (("redact", given), (name, environ.get(name, "").strip().lower() or None)):
        if value is None:
            continue
        if value is True or (isinstance(value, str) and value in _ON):
            return Redaction()
        if value is False or (isinstance(value, str) and value in _OFF):
            return None
        if isinstance(value, Redaction):
            return value
        if isinstance(value, Mapping):
            try:
                return rules(value)
            except ValueError as error:
                warnings.append(f"{source} is invalid, the default rules are used: {text(error)}")
                continue
        warnings.append(f"{source}={text(value)!r} is invalid: expected True, False or rules; the default is used")
    return Redaction()


def _bytes(argument: str, given: Any, environ: Mapping[str, str], default: int, warnings: list[str]) -> int:
    variable = PREFIX + argument.upper()
    for source, value in ((argument, given), (variable, environ.get(variable, "").strip() or None)):
        if value is None:
            continue
        try:
            number = int(value)
            if number >= _MIN_BYTES and not isinstance(value, bool):
                return number
        except (TypeError, ValueError, OverflowError):
            pass
        warnings.append(
            f"{source}={text(value)!r} is not a number of bytes of at least {_MIN_BYTES}: the default is used"
        )
    return default

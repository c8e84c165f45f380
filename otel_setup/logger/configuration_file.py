"""Reads the configuration from a mapping, a YAML file, the file named by a variable, or ``config.yml``."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

VARIABLE: Final = "OTELGRES_LOGGER_CONFIG"
NAMES: Final = ("config.yml", "config.yaml")
_LARGEST: Final = 1024 * 1024


class ConfigError(Exception):
    """The configuration cannot be read; the message has the reason."""


def read(config: Any, environ: Mapping[str, str]) -> Mapping[Any, Any]:
    """The configuration: ``config`` itself if it is a mapping, else the content of the file; empty without a file.

    Raises :class:`ConfigError`.
    """
    if isinstance(config, Mapping):
        return config
    path = _path(config, environ)
    if path is None:
        return {}
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise ConfigError(f"the configuration {path} cannot be read: {reason}") from error
    if len(text) > _LARGEST:
        raise ConfigError(f"the configuration {path} is larger than {_LARGEST:,} characters")
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        # Only the position: the line may contain a password.
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark is not None else ""
        raise ConfigError(f"the configuration {path} is not valid YAML{place}") from None
    except RecursionError:
        raise ConfigError(f"the configuration {path} is nested too deeply") from None
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise ConfigError(f"the configuration {path} is not a mapping: it needs the blocks logging: and database:")
    return found


def _path(config: Any, environ: Mapping[str, str]) -> Path | None:
    if config is None:
        if named := environ.get(VARIABLE, "").strip():
            return Path(named)
        return next((path for name in NAMES if (path := Path(name)).is_file()), None)
    if isinstance(config, str | os.PathLike) and isinstance(given := os.fspath(config), str) and given:
        return Path(given)
    raise ConfigError(f"the configuration is a {type(config).__name__}: pass a path, a mapping or None")

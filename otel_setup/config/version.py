"""The installed version of otelgres."""

import importlib.metadata


def installed_version() -> str:
    """The version of the installed package, or "unknown" if it is not installed."""
    try:
        return importlib.metadata.version("otelgres")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"

"""The version of otelgres that is installed."""

import importlib.metadata


def installed_version() -> str:
    """As the installed package says it, "unknown" for sources that are not installed."""
    try:
        return importlib.metadata.version("otelgres")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"

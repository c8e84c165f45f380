"""The extras that the code knows are those of pyproject.toml, and what each brings is named with its command."""

import re
import tomllib
from pathlib import Path

import pytest

from otelgres.exporters.extras import EXTRAS, advice, installing

PROJECT = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Distributions whose modules have another name.
IMPORTED = {"grpcio": "grpc"}


def packages(lines: list[str]) -> set[str]:
    """Names of distributions as their modules are spelt, our own left out."""
    names = {re.match(r"[\w.-]+", line)[0].lower() for line in lines}  # type: ignore[index]
    return {re.sub(r"[-_.]+", "-", IMPORTED.get(name, name)) for name in names} - {"otelgres"}


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_brings_what_the_code_says(extra: str) -> None:
    assert packages(PROJECT["optional-dependencies"][extra]) == packages(list(EXTRAS[extra]))


def test_the_base_install_has_nothing_of_an_extra() -> None:
    assert not packages(PROJECT["dependencies"]) & {
        name for modules in EXTRAS.values() for name in packages(list(modules))
    }


def test_advice_names_the_package_and_the_command() -> None:
    def missing(name: str) -> ModuleNotFoundError:
        return ModuleNotFoundError(f"No module named {name!r}", name=name)

    assert advice(missing("rich.console")) == "rich is not installed: pip install 'otelgres[server]'"
    flask = advice(missing("opentelemetry.instrumentation.flask"))
    assert flask == "opentelemetry.instrumentation.flask is not installed: pip install 'otelgres[demo]'"
    assert advice(missing("richer")) is None
    assert advice(ImportError("cannot import name 'x'")) is None
    assert installing("server", "embedded") == "pip install 'otelgres[server,embedded]'"

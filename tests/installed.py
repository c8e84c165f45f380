"""Environments that have otelgres and the packages that it asks for, and nothing else: no network is needed.

The wheel is built from the checkout; the packages are copied from the environment that runs the tests.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
_NOT_SOURCES = shutil.ignore_patterns(
    ".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis"
)


@dataclass(frozen=True)
class Environment:
    """A virtual environment without pip. ``packages`` are the distributions in it, otelgres among them."""

    folder: Path
    packages: frozenset[str]

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self._program("python")

    @property
    def otelgres(self) -> Path:
        """The console script."""
        return self._program("otelgres")

    @property
    def megabytes(self) -> float:
        """What all packages take on the disk."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file()) / 1e6

    def _program(self, name: str) -> Path:
        return self.folder / ("Scripts" if os.name == "nt" else "bin") / name


def build_wheel(folder: Path) -> Path:
    """The wheel of the checkout, made in ``folder``."""
    sources = folder / "sources"
    shutil.copytree(ROOT, sources, ignore=_NOT_SOURCES)
    _pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(sources))
    (wheel,) = folder.glob("otelgres-*.whl")
    return wheel


def install(wheel: Path, folder: Path, extras: Iterable[str] = ()) -> Environment:
    """A new environment in ``folder`` with ``wheel``, what it requires, and what ``extras`` require."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    environment = Environment(folder, frozenset())
    _pip("--python", str(environment.python), "install", "--quiet", "--no-deps", "--no-index", str(wheel))
    target = next(iter(folder.rglob("site-packages")))
    (ours,) = distributions(path=[str(target)])
    found = {found.name.lower(): found for found in _required(ours, frozenset(extras))}
    for package in found.values():
        _copy(package, target)
    return Environment(folder, frozenset(found) | {"otelgres"})


def _required(package: Distribution, extras: frozenset[str]) -> Iterator[Distribution]:
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(package, extras)]
    while waiting:
        package, extras = waiting.pop()
        for line in package.requires or ():
            wanted = Requirement(line)
            if wanted.marker and not any(wanted.marker.evaluate({"extra": extra}) for extra in extras | {""}):
                continue
            key = (wanted.name.lower(), frozenset(wanted.extras))
            if key in seen:
                continue
            seen.add(key)
            if key[0] == "otelgres":
                waiting.append((package, key[1]))
                continue
            found = distribution(wanted.name)
            waiting.append((found, key[1]))
            yield found


def _copy(package: Distribution, target: Path) -> None:
    for file in package.files or ():
        source = Path(str(file.locate()))
        # Scripts lie outside of the packages; bytecode is made again.
        if ".." in file.parts or file.suffix == ".pyc" or not source.is_file():
            continue
        copy = target / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, copy)
        except OSError:  # another file system, or one without hard links
            shutil.copy2(source, copy)


def _pip(*arguments: str) -> None:
    # Isolated from the folder and from PYTHONPATH: what lies there would pass for installed.
    subprocess.run(
        [sys.executable, "-I", "-m", "pip", "--disable-pip-version-check", *arguments],
        check=True,
        stdout=sys.stderr,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )

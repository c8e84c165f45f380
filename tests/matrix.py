"""The library's tests on every Python that can be had, with the lowest and with the newest packages that are allowed.

``python tests/matrix.py`` (`make test-matrix`); ``--set lowest --quick`` is what CI runs (`make test-lowest`). Needs
nothing but the standard library. Environments are kept in ``build/matrix`` and made again when their list has changed.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
ENVIRONMENTS: Final = ROOT / "build" / "matrix"
LOWEST: Final = ROOT / "tests" / "lowest.txt"
PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
# Releases of OpenTelemetry between the lowest and the newest: the quick tests, on one Python.
BETWEEN: Final = ("1.41", "1.42", "1.43", "1.44")
# What exercises otel_setup, and storing from within the application.
LIBRARY: Final = (
    "tests/library/test_*.py",
    "tests/unit/test_otel_setup_*.py",
    "tests/unit/test_grpc_messages.py",
    "tests/unit/test_operations_*.py",
    "tests/unit/test_redaction.py",
    "tests/sinks/test_*.py",
    "tests/compat/test_logger*.py",
    "tests/compat/test_pipelines.py",
    "tests/acceptance/test_runs.py",
)
QUICK: Final = (
    "tests/unit/test_otel_setup_sdk.py",
    "tests/library/test_grpc_client*.py",
    "tests/library/test_otel_setup_flows.py",
    "tests/library/test_otel_setup_receiver.py",
    "tests/library/test_otel_setup_redact.py",
    "tests/unit/test_redaction.py",
    "tests/unit/test_otel_setup_values.py",
    "tests/sinks/test_postgres_delivery.py",
)
# Tests that an early release of a Python cannot pass, and why: (first, before which) -> (beginnings of names, reason).
EXCEPTIONS: Final[dict[tuple[tuple[int, ...], tuple[int, ...]], tuple[tuple[str, ...], str]]] = {
    ((3, 12, 0), (3, 12, 3)): (
        (
            *(
                f"tests/library/test_otel_setup_{part}.py"
                for part in (
                    "context_attributes", "flows", "interrupted", "lifecycle", "logs",
                    "propagation", "receiver", "redact", "settings", "spool",
                )
            ),
            "tests/compat/test_logger.py::test_an_end_without_shutdown_stores_what_there_is",
            "tests/compat/test_pipelines.py::test_what_hangs_is_active_and_what_is_killed_abandoned",
        ),
        "Python 3.12.0 to 3.12.2 starts no thread once the interpreter ends, so nothing is flushed at exit",
    )
}  # fmt: skip
_VERSION: Final = "import json, sys; print(json.dumps([*sys.version_info[:3], sys.prefix == sys.base_prefix]))"


@dataclass(frozen=True)
class Python:
    """An interpreter that is no virtual environment."""

    program: Path
    version: tuple[int, ...]

    @property
    def minor(self) -> str:
        """Such as "3.12"."""
        return f"{self.version[0]}.{self.version[1]}"


def main() -> int:
    """Runs what the arguments name; 1 if a test failed or nothing was run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--python", action="append", metavar="3.X", help="only this one; may be given several times")
    parser.add_argument("--set", action="append", choices=("lowest", "newest", *BETWEEN), help="only this one")
    parser.add_argument("--quick", action="store_true", help="the short list of tests")
    parser.add_argument("--one", action="store_true", help="only one Python: this one if it is among them")
    arguments = parser.parse_args()
    wanted = tuple(arguments.python or PYTHONS)
    found = {minor: python for minor, python in pythons().items() if minor in wanted}
    if arguments.one:
        mine = f"{sys.version_info[0]}.{sys.version_info[1]}"
        found = {mine: found[mine]} if mine in found else dict(list(found.items())[:1])
    sets = tuple(arguments.set or ("lowest", "newest", *BETWEEN))
    rows = [run(python, name, quick=arguments.quick) for name in sets for python in chosen(name, list(found.values()))]
    print("\nwhat ran:")
    for text, _ in rows:
        print(f"  {text}")
    for minor in [] if arguments.one else wanted:
        if minor not in found:
            print(f"  Python {minor}: NOT RUN, none was found on PATH, in pyenv or by uv")
    return 0 if rows and all(passed for _, passed in rows) else 1


def chosen(name: str, found: "list[Python]") -> "list[Python]":
    """The Pythons that set ``name`` is tried on."""
    return found[:1] if name in BETWEEN else found


def pythons() -> dict[str, Python]:
    """The newest interpreter of each minor version, in order."""
    newest: dict[str, Python] = {}
    for program in _programs():
        python = _look_at(program)
        if python is not None and python.minor in PYTHONS:
            known = newest.get(python.minor)
            if known is None or python.version > known.version:
                newest[python.minor] = python
    return {minor: newest[minor] for minor in PYTHONS if minor in newest}


def _programs() -> Iterator[Path]:
    for minor in PYTHONS:
        for folder in os.environ.get("PATH", "").split(os.pathsep):
            if found := shutil.which(f"python{minor}", path=folder):
                yield Path(found)
    yield Path(sys.executable)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    yield from sorted(pyenv.glob("3.*/bin/python3"))
    if uv := shutil.which("uv"):
        listed = subprocess.run(
            [uv, "python", "list", "--only-installed", "--output-format", "json"], capture_output=True
        )
        if listed.returncode == 0:
            yield from (Path(entry["path"]) for entry in json.loads(listed.stdout) if entry.get("path"))


def _look_at(program: Path) -> Python | None:
    try:
        told = subprocess.run([program, "-I", "-c", _VERSION], capture_output=True, timeout=30)
        *version, real = json.loads(told.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return Python(program, tuple(version)) if real else None


def run(python: Python, name: str, *, quick: bool) -> tuple[str, bool]:
    """What became of the tests on ``python`` with set ``name``, and whether they passed."""
    title = f"Python {'.'.join(map(str, python.version))}, {name}"
    began = time.monotonic()
    print(f"\n== {title}: installing", flush=True)
    environment = ENVIRONMENTS / f"{python.minor}-{name}"
    try:
        program = _installed(python, name, environment)
    except subprocess.CalledProcessError as error:
        print((error.stdout or b"").decode(errors="replace"))
        return f"{title}: NOT RUN, the packages could not be installed", False
    versions = _output(program, "-c", _PACKAGES)
    installed = time.monotonic() - began
    print(f"== {title}: {versions}", flush=True)
    excepted = [reason for span, reason in EXCEPTIONS.items() if span[0] <= python.version < span[1]]
    left_out = [f"--deselect={test}" for tests, _ in excepted for test in tests]
    for tests, reason in excepted:
        print(f"== left out, {reason}: {', '.join(tests)}")
    patterns = QUICK if quick or name in BETWEEN else LIBRARY
    ended = subprocess.run(
        [program, "-m", "pytest", "-q", "-p", "no:cacheprovider", *left_out, *_files(patterns)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    text = ended.stdout.decode(errors="replace")
    if ended.returncode:
        print(text)
    total = next((line for line in reversed(text.splitlines()) if re.search(r"\d+ (passed|failed|error)", line)), "?")
    total = re.sub(r" in [\d.]+s.*", "", total.strip("= "))
    spent = time.monotonic() - began
    result = f"{title}: {total}; {versions}; {spent:.0f} s, {installed:.0f} of them to install"
    result += "".join(f"; left out: {len(tests)} ({reason})" for tests, reason in excepted)
    print(f"== {result}", flush=True)
    return result, ended.returncode == 0


_PACKAGES: Final = """
from importlib.metadata import version
print(", ".join(f"{name.rpartition('opentelemetry-')[2]} {version(name)}" for name in
                ("opentelemetry-sdk", "opentelemetry-instrumentation", "protobuf", "h2", "psycopg")))
"""


def _installed(python: Python, name: str, environment: Path) -> Path:
    """The interpreter of an environment with set ``name``. Raises CalledProcessError."""
    program = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    lines = [] if name == "newest" else _constraints(name)
    # What the environment was made from; an editable install follows the sources by itself.
    made_from = json.dumps([python.version, lines, (ROOT / "pyproject.toml").read_text(encoding="utf-8")])
    stamp = environment / "made-from.json"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == made_from:
        return program
    shutil.rmtree(environment, ignore_errors=True)
    _call(str(python.program), "-m", "venv", str(environment))
    constraints = environment / "constraints.txt"
    constraints.write_text("\n".join([*lines, ""]), encoding="utf-8")
    pip = (str(program), "-m", "pip", "--disable-pip-version-check")
    _call(*pip, "install", "--quiet", "--no-compile", "--constraint", str(constraints), "--editable", f"{ROOT}[test]")
    _call(*pip, "check")
    stamp.write_text(made_from, encoding="utf-8")
    return program


def _constraints(name: str) -> list[str]:
    if name == "lowest":
        return [line for line in LOWEST.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return [f"opentelemetry-sdk=={name}.*"]


def _files(patterns: Sequence[str]) -> list[str]:
    found = []
    for pattern in patterns:
        files = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(pattern))
        if not files:
            sys.exit(f"matrix: no test is called {pattern}")
        found += files
    return found


def _call(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT)


def _output(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())

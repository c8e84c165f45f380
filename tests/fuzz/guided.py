"""The same contracts, guided by coverage: ``python -m tests.fuzz.guided TARGET -runs=N`` (libFuzzer, by atheris).

What is ours and interpreted is instrumented: an input that reaches a new branch is kept and gone on from.
"""

import logging
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["otelgres", "otel_setup"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzzes one target until the runs or the seconds that were asked for are over; exits 77 at a finding."""
    logging.disable(logging.CRITICAL)
    target = TARGETS[sys.argv[1]]
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(target.seeds):
            (Path(folder) / str(number)).write_bytes(seed)
        atheris.Setup([sys.argv[0], folder, *sys.argv[2:]], lambda data: target.check(data) and None)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

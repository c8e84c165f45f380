"""The files of the checkout: what git tracks, and what it would track if it were added."""

import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@cache
def files() -> tuple[str, ...]:
    """Their names below ROOT, with slashes. Without git, as in an unpacked source distribution, the test is skipped."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return tuple(sorted(name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()))

"""What the Makefile does with a virtual environment that an interrupted run has left."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Makes an environment whose Python answers everything, and notes that it did.
PYTHON = """#!/bin/sh
echo "$@" >> made
mkdir -p .venv/bin && printf '#!/bin/sh\\nexit 0\\n' > .venv/bin/python && chmod +x .venv/bin/python
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script stands for Python")
@pytest.mark.skipif(shutil.which("make") is None, reason="make is not here")
def test_an_environment_without_pip_is_made_again_and_a_whole_one_is_kept(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    executable(tmp_path / "python", PYTHON)
    executable(tmp_path / ".venv" / "bin" / "python", "#!/bin/sh\nexit 1\n")
    for _ in range(2):
        subprocess.run(["make", ".venv/.running", "PYTHON=./python"], cwd=tmp_path, check=True, capture_output=True)
        (tmp_path / ".venv" / ".running").unlink()
    assert (tmp_path / "made").read_text() == "-m venv --clear .venv\n"


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)

"""The top level of the checkout is fixed."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOP_LEVEL = {
    ".ci", ".dockerignore", ".editorconfig", ".gitattributes", ".github", ".gitignore", ".pre-commit-config.yaml",
    "CHANGELOG.md", "CONTRIBUTING.md", "Dockerfile", "LICENSE", "MANIFEST.in", "Makefile", "README.md",
    "SECURITY.md", "collector", "docker-compose.yml", "docs", "exporters", "grafana", "otel-collector.yaml",
    "otel_setup", "pyproject.toml", "sql", "tests",
}  # fmt: skip


def test_the_top_level_is_what_was_agreed() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    found = {line.split("/", 1)[0] for line in tracked.stdout.splitlines()}
    assert found <= TOP_LEVEL

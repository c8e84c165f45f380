"""What a public project has beside its code is right by its own linter or schema. None of them uses the network."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from editorconfig import get_properties

from tests.repository.checkout import ROOT, files

ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"
HOOKS = ".pre-commit-config.yaml"
SCHEMAS = {
    "vendor.github-workflows": [".github/workflows/ci.yml", ".github/workflows/release.yml"],
    "custom.github-workflows-require-timeout": [".github/workflows/ci.yml", ".github/workflows/release.yml"],
    "vendor.github-issue-forms": [".github/ISSUE_TEMPLATE/bug.yml", ".github/ISSUE_TEMPLATE/feature.yml"],
    "vendor.github-issue-config": [".github/ISSUE_TEMPLATE/config.yml"],
    "vendor.dependabot": [".github/dependabot.yml"],
    "vendor.compose-spec": ["docker-compose.yml"],
}
# What no schema is for: its reader is asked, in a test of its own.
WITHOUT_SCHEMA = {".github/PULL_REQUEST_TEMPLATE.md", ".github/zizmor.yml"}
WORKFLOWS = SCHEMAS["vendor.github-workflows"]


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_file_follows_its_schema(schema: str) -> None:
    run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *SCHEMAS[schema])


def test_every_github_file_is_checked() -> None:
    validated = {name for several in SCHEMAS.values() for name in several}
    assert {name for name in files() if name.startswith(".github/")} - validated == WITHOUT_SCHEMA


def test_the_workflows_are_safe() -> None:
    zizmor = shutil.which("zizmor", path=str(Path(sys.executable).parent))
    assert zizmor is not None
    run(zizmor, "--offline", "--strict-collection", "--collect", "all", "--persona", "pedantic", ".github", HOOKS)


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_calls_targets_of_the_makefile_and_has_no_secret(workflow: str) -> None:
    text = (ROOT / workflow).read_text(encoding="utf-8")
    assert "secrets." not in text
    called = {
        name
        for job in read(workflow)["jobs"].values()
        for step in job["steps"]
        for name in re.findall(r"^make ([a-z-]+)$", step.get("run", ""), re.MULTILINE)
    }
    assert called
    assert called <= make_targets()


def test_the_hooks_are_targets_of_the_makefile() -> None:
    run(sys.executable, "-m", "pre_commit", "validate-config", HOOKS)
    hooks = [hook for repository in read(HOOKS)["repos"] for hook in repository["hooks"]]
    assert {hook["entry"].removeprefix("make ") for hook in hooks} == {"lint", "types", "contracts"} <= make_targets()


def test_every_file_is_as_editorconfig_says() -> None:
    wrong = []
    for name in files():
        content = (ROOT / name).read_bytes()
        if not content or b"\0" in content:
            continue
        wanted = get_properties(str(ROOT / name))
        lines = content.decode(wanted["charset"]).split("\n")
        if wanted["insert_final_newline"] == "true" and lines[-1]:
            wrong.append(f"{name}: no newline at the end")
        for number, line in enumerate(lines, 1):
            if wanted["end_of_line"] == "lf" and "\r" in line:
                wrong.append(f"{name}:{number}: a carriage return")
            elif wanted["trim_trailing_whitespace"] == "true" and line != line.rstrip():
                wrong.append(f"{name}:{number}: space at the end")
            elif wanted["indent_style"] == "space" and "\t" in line[: len(line) - len(line.lstrip())]:
                wrong.append(f"{name}:{number}: indented by a tab")
    assert not wrong


def test_every_address_in_the_repository_leads_to_a_file() -> None:
    found = {
        (name, path)
        for name in files()
        if not name.startswith("tests/")
        for path in re.findall(
            r"github\.com/otelgres/otelgres/blob/main/([\w./-]+\w)", (ROOT / name).read_text(encoding="utf-8")
        )
    }
    assert found
    assert [(name, path) for name, path in found if path != "docs/runbooks" and not (ROOT / path).is_file()] == []


def test_the_version_is_the_same_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    (image,) = read("docs/deploy/kubernetes/kustomization.yaml")["images"]
    assert image["newTag"] == version
    assert f"\n## {version} (" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.interop
@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("go") is None, reason="go, with which actionlint is built, is not on PATH")
def test_actionlint_takes_the_workflows() -> None:
    run("go", "run", ACTIONLINT, *WORKFLOWS)


def test_each_line_of_the_threat_model_names_tests_that_exist() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| who |")]
    assert len(lines) > 10
    for line in lines:
        named = re.findall(r"`(tests/[\w/]+\.py)`", line)
        assert named, line
        assert [path for path in named if not (ROOT / path).is_file()] == []

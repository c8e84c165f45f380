"""No code of ours makes a child by ``fork``: gRPC's handlers for fork break one where gRPC runs.

``subprocess`` uses ``vfork`` or ``posix_spawn`` unless it is asked to change the child's user or to run a function
in it. Programs that tests hand to another interpreter as text are applications, which may fork, and are not looked at.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(
    path
    for folder in ("otel_setup", "collector", "exporters", "sql", "tests")
    for path in (ROOT / folder).rglob("*.py")
)
STARTS = {"Popen", "call", "check_call", "check_output", "create_subprocess_exec", "create_subprocess_shell", "run"}
OPTIONS = {"extra_groups", "group", "preexec_fn", "user"}
FORKS = {"Pool", "Process", "ProcessPoolExecutor", "fork", "forkpty", "get_context"}
MENTIONED = re.compile(
    r"\b(?:user|group|extra_groups|preexec_fn|fork|forkpty|get_context)\b|Pool|Process|[(,]\s*\*\*\w"
)
FORKING_MODULES = {"concurrent.futures", "multiprocessing", "os", "pty"}


def forks(text: str) -> Iterator[str]:
    """What in the source ``text`` makes children by fork, each with its line."""
    if not MENTIONED.search(text):  # which is most of them, and takes no parsing
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and name(node.func).rpartition(".")[2] in STARTS:
            named = {keyword.arg for keyword in node.keywords} & OPTIONS
            if named:
                yield f"line {node.lineno}: {name(node.func)} with {', '.join(sorted(map(str, named)))}"
            # A function's result may hold the options, too; what a variable or a literal holds is seen elsewhere.
            for keyword in node.keywords:
                if keyword.arg is None and isinstance(keyword.value, ast.Attribute):
                    yield f"line {node.lineno}: {name(node.func)} with options out of an attribute"
        elif isinstance(node, ast.Dict):
            keys = {key.value for key in node.keys if isinstance(key, ast.Constant)}
            if "preexec_fn" in keys or "extra_groups" in keys or {"user", "group"} <= keys:
                yield f"line {node.lineno}: options of a child"
        elif isinstance(node, ast.Attribute) and node.attr in FORKS and name(node.value) in FORKING_MODULES:
            yield f"line {node.lineno}: {name(node)}"
        elif isinstance(node, ast.ImportFrom) and node.module in FORKING_MODULES:
            for alias in node.names:
                if alias.name in FORKS:
                    yield f"line {node.lineno}: {node.module}.{alias.name}"


def name(node: ast.expr) -> str:
    """The dotted name of an expression, "" if it is none."""
    if isinstance(node, ast.Attribute):
        return f"{name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_makes_children_by_fork(path: Path) -> None:
    assert list(forks(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "subprocess.Popen(['x'], user=1)",
        "run(command, cwd='/', group=2)",
        "psutil.Popen(command, extra_groups=())",
        "subprocess.run(command, preexec_fn=os.setsid)",
        "asyncio.create_subprocess_exec('x', user=1)",
        "subprocess.run(command, **user.identity)",
        "options = {'user': 1, 'group': 2}",
        "if not os.fork(): pass",
        "multiprocessing.Process(target=f).start()",
        "from concurrent.futures import ProcessPoolExecutor",
        "from os import fork",
    ],
)
def test_secret_texts_are_redacted(source: str) -> None:
    assert len(list(forks(source))) == 1


@pytest.mark.parametrize("source", ["subprocess.run(['x'], cwd='/', start_new_session=True)", "sudo(user=1)"])
def test_other_texts_are_unchanged(source: str) -> None:
    assert list(forks(source)) == []

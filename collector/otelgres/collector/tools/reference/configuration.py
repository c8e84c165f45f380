"""``docs/configuration.md``: every setting of the receiver, from the one table of settings and its docstrings.

Refuses to know any setting.
"""

import ast
import inspect
from itertools import pairwise
from typing import Final

from otelgres.collector.service import settings
from otelgres.collector.service.settings import ReceiverSettings

_HEAD: Final = """# Settings of the receiver

Made by `make docs` from the table in `collector/otelgres/collector/service/settings.py`.

Each can be given, in this order of precedence, by flag (where the command has one: `otelgres serve --help`), by
variable `OTELGRES_<NAME>`, or in `otelgres.yaml` in the working directory (`OTELGRES_CONFIG` names another file); else
it has its default. Names that do not exist are errors. What an application can set: [its guide](application.md).

| name | default | meaning |
|---|---|---|
"""


def configuration_reference() -> str:
    """The page, as Markdown. Raises TypeError for a setting without a docstring."""
    body = next(
        node.body
        for node in ast.parse(inspect.getsource(settings)).body
        if isinstance(node, ast.ClassDef) and node.name == ReceiverSettings.__name__
    )
    defaults = ReceiverSettings()
    lines = []
    for field, said in pairwise(body):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        name = field.target.id
        text = said.value.value if isinstance(said, ast.Expr) and isinstance(said.value, ast.Constant) else None
        if not isinstance(text, str):
            raise TypeError(f"{name} has no docstring")
        value = getattr(defaults, name)
        lines.append(f"| `{name}` | {'' if value in (None, '') else f'`{value}`'} | {' '.join(text.split())} |\n")
    return _HEAD + "".join(lines)

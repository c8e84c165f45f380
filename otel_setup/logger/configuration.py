"""Resolves the configuration: levels, handlers, and where records are stored. Warnings never contain secrets.

No I/O: a mapping and the environment in, settings and warnings out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from otel_setup.api.values import text
from otel_setup.config.database import database_at
from otel_setup.logger import rules
from otelgres.exporters.target import Database

PASSWORD: Final = "OTELGRES_LOGGER_PASSWORD"  # noqa: S105 (the name of a variable)
_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"


@dataclass(frozen=True, slots=True)
class LoggerSettings:
    """``console``, ``file`` and ``records`` are the sections by key. ``endpoint`` is the collector's, or None.

    ``database`` is where records are stored without a collector, and where the view is created with one; None without
    a database block.
    """

    level: int
    components: Mapping[str, int]
    console: Mapping[str, Any]
    file: Mapping[str, Any]
    records: Mapping[str, Any]
    endpoint: str | None
    database: Database | None
    table_prefix: str
    warnings: tuple[str, ...]


def resolve(document: Mapping[Any, Any], environ: Mapping[str, str]) -> LoggerSettings:
    """Settings from ``document`` and ``environ``. Blocks other than ``logging`` and ``database`` are ignored."""
    warnings: list[str] = []
    block = document.get("logging")
    general = rules.take(block, "logging", rules.LOGGING, warnings, (*rules.SECTIONS, "components"))
    inside = block if isinstance(block, Mapping) else {}
    sections = {
        name: rules.take(inside.get(name), f"logging.{name}", section, warnings)
        for name, section in rules.SECTIONS.items()
    }
    access = rules.take(document.get("database"), "database", rules.DATABASE, warnings)
    records = sections["database"]
    endpoint = records["endpoint"] or environ.get(_ENDPOINT, "").strip() or None
    database = None
    if isinstance(document.get("database"), Mapping):
        database = _database(access, records, environ, warnings)
    elif records["enabled"] and endpoint is None:
        warnings.append(
            f"records are not stored: set block database ({rules.DATABASE_BLOCK}), "
            f"or a collector in logging.database.endpoint or {_ENDPOINT}"
        )
    return LoggerSettings(
        level=general["level"],
        components=_components(inside.get("components"), warnings),
        console=sections["console"],
        file=sections["file"],
        records=records,
        endpoint=endpoint,
        database=database,
        table_prefix=access["table_prefix"],
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _components(block: Any, warnings: list[str]) -> dict[str, int]:
    levels: dict[str, int] = {}
    if block is None:
        return levels
    if not isinstance(block, Mapping):
        warnings.append("logging.components must be a mapping of logger names to levels: it is ignored")
        return levels
    for name, value in block.items():
        rule = rules.Rule(rules.LEVELS, None, rules.level)
        try:
            levels[text(name)] = rules.level(value)
        except ValueError:
            warnings.append(rules.wrong(f"logging.components.{text(name)}", value, rule))
    return levels


def _database(
    access: Mapping[str, Any], records: Mapping[str, Any], environ: Mapping[str, str], warnings: list[str]
) -> Database | None:
    from psycopg.conninfo import make_conninfo  # late import: needed only with a database block

    # The environment takes precedence over the file, which may be in version control. libpq itself reads PGPASSWORD.
    password = environ.get(PASSWORD) or access["password"]
    dsn = access["dsn"]
    if dsn is None:
        parts = {key: access[name] for key, name in (("host", "host"), ("user", "username"), ("dbname", "database"))}
        dsn = make_conninfo("", port=access["port"], **{key: value for key, value in parts.items() if value})
    timeouts = {"timeout": records["query_timeout"], "connect_timeout": records["connect_timeout"]}
    found = database_at(dsn, password=password, **timeouts)
    if found is None:
        warnings.append(rules.wrong("database.dsn", dsn, rules.DATABASE["dsn"]) + ", and records are not stored")
    return found

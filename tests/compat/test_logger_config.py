"""What a configuration of the logger may say, and the one sentence for each thing that it may not."""

import logging
from pathlib import Path
from typing import Any

import pytest

from otel_setup.logger.configuration import PASSWORD, LoggerSettings, resolve
from otel_setup.logger.configuration_file import VARIABLE, ConfigError, read

DOCUMENTED = """
logging:
  level: "DEBUG"
  database:
    enabled: true
    retention_days: 365
  console:
    enabled: true
    format: "%(asctime)s - %(name)s - %(levelname)s - %(message)s"
  components:
    authentication: "DEBUG"
    database: "INFO"
    apikey: "INFO"
    models: "WARNING"
database:
  host: "postgres"
  port: 5432
  username: "postgresql"
  password: "word of honour"
  database: "ai_platform_auth"
  table_prefix: "myopenaiapi"
server:
  port: 80
"""


def resolved(document: Any, environ: dict[str, str] | None = None) -> LoggerSettings:
    return resolve(document, environ or {})


def test_the_documented_file_is_understood(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    file.write_text(DOCUMENTED)
    found = resolved(read(file, {}))
    assert found.warnings == ()
    assert (found.level, found.table_prefix) == (logging.DEBUG, "myopenaiapi")
    assert found.components == {
        "authentication": logging.DEBUG, "database": logging.INFO, "apikey": logging.INFO, "models": logging.WARNING,
    }  # fmt: skip
    assert found.database is not None
    assert found.database.endpoint == "postgresql://postgres:5432/ai_platform_auth"
    for part in ("host=postgres", "user=postgresql", "connect_timeout=10", "password='word of honour'"):
        assert part in found.database.dsn
    assert "honour" not in repr(found)


def test_what_is_left_out_has_the_documented_defaults() -> None:
    found = resolved({"logging": {}, "database": {}})
    assert found.warnings == ()
    assert found.level == logging.DEBUG
    assert found.records == {
        "enabled": True, "retention_days": 365, "batch_size": 50, "flush_interval": 5.0, "queue_size": 10_000,
        "retry_attempts": 5, "connect_timeout": 10, "query_timeout": 30.0, "endpoint": None, "spool": None,
    }  # fmt: skip
    assert found.console == {"enabled": True, "format": "%(asctime)s - %(name)s - %(levelname)s - %(message)s"}
    assert (found.file["enabled"], found.file["max_bytes"], found.file["backups"]) == (False, 10 * 1024 * 1024, 5)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"levle": "INFO"}, " is unknown and ignored: did you mean level?"),
        (
            {"database.batchsize": 5},
            " is unknown and ignored: did you mean batch_size? valid keys are enabled, retention_days,",
        ),
        (
            {"level": "LOUD"},
            " is 'LOUD' (text); it must be a level: DEBUG, INFO, WARNING, ERROR or CRITICAL: the default ",
        ),
        ({"level": 10}, " is 10; it must be a level"),
        ({"console": True}, " is true or false; it must be a mapping of enabled and format: the defaults are used"),
        ({"console.enabled": "yes"}, " is 'yes' (text); it must be true or false: the default true is used"),
        ({"console.format": "%(nothing)s"}, " is '%(nothing)s' (text); it must be a format of Python's logging,"),
        ({"database.batch_size": 0}, " is 0; it must be a whole number from 1 to 10000: the default 50 is used"),
        ({"database.batch_size": True}, " is true; it must be a whole number"),
        ({"database.flush_interval": "5"}, " is '5' (text); it must be a number of seconds from 0.05 to 3600"),
        ({"database.flush_interval": float("nan")}, " is nan; it must be a number of seconds"),
        ({"database.retention_days": -1}, " is -1; it must be a whole number from 0"),
        ({"database.retention_days": None}, " is empty; it must be a whole number"),
        ({"database.endpoint": ["h"]}, " is a list; it must be the address of a collector"),
        ({"components": "DEBUG"}, " must be a mapping of logger names to levels"),
        ({"components.models": "QUIET"}, " is 'QUIET' (text); it must be a level"),
        ({"file.path": ""}, " is '' (text); it must be the path of a file"),
        ({"file.backups": 1.5}, " is 1.5; it must be a whole number"),
    ],
)
def test_each_mistake_in_logging_is_one_clear_sentence(keys: dict[str, Any], sentence: str) -> None:
    ((name, value),) = keys.items()
    section, dot, key = name.partition(".")
    warnings = resolved({"logging": {section: {key: value}} if dot else {name: value}, "database": {}}).warnings
    assert len(warnings) == 1
    assert warnings[0].startswith(f"logging.{name}{sentence}"), warnings


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        ({"pool": 5}, "database.pool is unknown and ignored: valid keys are dsn, host, port,"),
        ("postgres", "database is text; it must be a mapping of dsn, host,"),
        (
            {"port": "5432"},
            "database.port is '5432' (text); it must be a whole number from 1 to 65535: the default 5432",
        ),
        ({"port": 0}, "database.port is 0; it must be a whole number"),
        ({"host": ""}, "database.host is '' (text); it must be a host name,"),
        ({"table_prefix": "x" * 59}, "database.table_prefix is 'xxx"),
        (
            {"table_prefix": 'a"; DROP TABLE x; --'},
            "database.table_prefix is 'a\"; DROP TABLE x; --' (text); it must be 1 to",
        ),
        ({"username": 7}, "database.username is 7; it must be the name of a role: it is ignored"),
    ],
)
def test_each_mistake_in_database_is_one_clear_sentence(block: Any, sentence: str) -> None:
    warnings = resolved({"database": block}).warnings
    assert warnings[0].startswith(sentence), warnings
    assert len(warnings) == (2 if block == "postgres" else 1)


def test_a_missing_block_is_warned_of_with_its_keys() -> None:
    (warning,) = resolved({}).warnings
    assert warning.startswith("records are not stored: set block database (a mapping of host, port, username,")
    assert resolved({"logging": {"database": {"enabled": False}}}).warnings == ()
    (warning,) = resolved({"logging": [], "database": {}}).warnings
    assert warning.startswith(
        "logging is a list; it must be a mapping of level, database, console, file and components"
    )


@pytest.mark.parametrize(
    "block", [{"password": 31415926}, {"password": ["31415926"]}, {"dsn": "31415926"}, {"dsn": "host=a pass 31415926"},
              {"dsn": "postgresql://me:31415926@["}]
)  # fmt: skip
def test_no_warning_shows_a_secret(block: dict[str, Any]) -> None:
    found = resolved({"database": block})
    assert found.warnings
    assert "31415926" not in " ".join(found.warnings) + repr(found)


def test_a_password_comes_from_the_environment_too() -> None:
    document = {"database": {"dsn": "postgresql://me@h/d", "password": "in the file"}}
    for environ, expected in (({}, "in the file"), ({PASSWORD: "in the air"}, "in the air")):
        database = resolved(document, environ).database
        assert database is not None
        assert f"password='{expected}'" in database.dsn
        assert expected not in repr(database)
        assert expected not in database.endpoint


def test_a_collector_wins_over_the_database() -> None:
    document = {"database": {"host": "h"}, "logging": {"database": {"endpoint": "http://c:4317"}}}
    assert resolved(document, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://e:4318"}).endpoint == "http://c:4317"
    assert resolved({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://e:4318"}).endpoint == "http://e:4318"
    assert resolved({}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://e:4318"}).warnings == ()


def test_where_a_configuration_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read(None, {}) == {}
    (tmp_path / "config.yaml").write_text("logging: {level: INFO}")
    assert read(None, {}) == {"logging": {"level": "INFO"}}
    (tmp_path / "config.yml").write_text("logging: {level: ERROR}")
    assert read(None, {}) == {"logging": {"level": "ERROR"}}
    (tmp_path / "named").write_text("")
    assert read(None, {VARIABLE: str(tmp_path / "named")}) == {}
    assert read("config.yml", {VARIABLE: "elsewhere"}) == {"logging": {"level": "ERROR"}}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: No such file or directory"),
        ("a: [", "is not valid YAML in line"),
        ("password: 'secret\n x: y", "is not valid YAML"),
        ("- a", "is not a mapping: it needs the blocks logging: and database:"),
        ("!!python/object/apply:os.system ['true']", "is not valid YAML"),
        ("a: " + "[" * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, content: str | None, sentence: str) -> None:
    file = tmp_path / "c.yml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=sentence) as raised:
        read(file, {})
    assert "secret" not in str(raised.value)
    with pytest.raises(ConfigError, match="pass a path, a mapping or None"):
        read(7, {})

"""What may be served where, where a DSN may come from, and that its password is never shown."""

import asyncio
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from otelgres.collector.security.binding import UnsafeBinding, check_binding, is_loopback
from otelgres.collector.security.dsn import InvalidDsn, check_dsn, has_secret, without_secrets
from otelgres.collector.security.token_file import changing
from otelgres.collector.service.protection import protection
from otelgres.collector.service.settings import ReceiverSettings, SettingError, load

SECRET = "s3cr3t"
URI = f"postgresql://app:{SECRET}@db.example:5432/telemetry"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)
    check_binding("grpc", host, tls=False, authenticated=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "::ffff:192.0.2.1"])
def test_everything_else_needs_tls_and_a_token(host: str) -> None:
    assert not is_loopback(host)
    check_binding("grpc", host, tls=True, authenticated=True)
    for tls, authenticated, words in (
        (False, False, ["tls_cert and tls_key", "tokens_file", "otelgres token new", "insecure_bind"]),
        (True, False, ["without tokens_file"]),
        (False, True, ["without tls_cert and tls_key"]),
    ):
        with pytest.raises(UnsafeBinding) as caught:
            check_binding("grpc", host, tls=tls, authenticated=authenticated)
        for word in [f"grpc is set to {host}", *words]:
            assert word in str(caught.value)


def test_protection_is_chosen_from_the_settings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plain = protection(ReceiverSettings())
    assert (plain.certificates, plain.authenticator) == (None, None)
    exposures: list[dict[str, Any]] = [{"grpc": "0.0.0.0:4317"}, {"http": "[::]:4318"}]
    for exposed in exposures:
        with pytest.raises(SettingError, match="other machines can reach"):
            protection(ReceiverSettings(**exposed))
        protection(ReceiverSettings(insecure_bind=True, **exposed))
        assert "insecure_bind allows" in caplog.messages.pop()
        caplog.clear()
    halves: list[dict[str, Any]] = [{"tls_cert": "a"}, {"tls_key": "a"}, {"tls_client_ca": "a"}]
    for half in halves:
        with pytest.raises(SettingError, match="tls_cert and tls_key together"):
            protection(ReceiverSettings(**half))
    with pytest.raises(SettingError, match=r"tls_cert /nowhere"):
        protection(ReceiverSettings(tls_cert="/nowhere", tls_key="/nowhere"))
    with pytest.raises(SettingError, match="does not exist"):
        protection(ReceiverSettings(tokens_file=str(tmp_path / "none")))
    with changing(tmp_path / "tokens"):
        pass
    assert protection(ReceiverSettings(tokens_file=str(tmp_path / "tokens"))).authenticator is not None
    assert "contains no token" in caplog.text


def test_a_receiver_that_is_exposed_does_not_start(tmp_path: Path) -> None:
    from otelgres.collector.service.wiring import Receiver

    async def make() -> None:
        Receiver(ReceiverSettings(grpc="0.0.0.0:0", spool=str(tmp_path)), URI)

    with pytest.raises(SettingError, match="other machines can reach"):
        asyncio.run(make())


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("1", True), ("Yes", True), ("false", False), ("0", False)]
)
def test_booleans(text: str, value: bool, tmp_path: Path) -> None:
    assert load({}, {"OTELGRES_INSECURE_BIND": text}).insecure_bind is value
    file = tmp_path / "otelgres.yaml"
    file.write_text(f"insecure_bind: {text}\n")
    assert load({}, {"OTELGRES_CONFIG": str(file)}).insecure_bind is value


@pytest.mark.parametrize("text", ["", "2", "on-second-thought"])
def test_invalid_booleans(text: str) -> None:
    with pytest.raises(SettingError, match="insecure_bind"):
        load({}, {"OTELGRES_INSECURE_BIND": text})


def test_a_limit_of_nothing_is_an_error() -> None:
    with pytest.raises(SettingError, match="max_concurrent_requests must be at least 1"):
        load({}, {"OTELGRES_MAX_CONCURRENT_REQUESTS": "0"})


def test_a_dsn_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "dsn"
    file.write_text(URI + "\n")
    file.chmod(0o600)
    assert load({}, {"OTELGRES_DSN_FILE": str(file)}).dsn == URI
    assert load({"dsn": "dbname=a"}, {"OTELGRES_DSN_FILE": str(file)}).dsn == "dbname=a"
    config = tmp_path / "otelgres.yaml"
    config.write_text("dsn: dbname=b\n")
    assert load({}, {"OTELGRES_DSN_FILE": str(file), "OTELGRES_CONFIG": str(config)}).dsn == URI
    config.write_text(f"dsn_file: {file}\n")
    assert load({}, {"OTELGRES_DSN": "dbname=c", "OTELGRES_CONFIG": str(config)}).dsn == "dbname=c"
    with pytest.raises(SettingError, match="not both"):
        load({}, {"OTELGRES_DSN": "dbname=a", "OTELGRES_DSN_FILE": str(file)})
    file.chmod(0o644)
    with pytest.raises(SettingError, match="chmod 600"):
        load({}, {"OTELGRES_DSN_FILE": str(file)})
    with pytest.raises(SettingError, match="cannot be read"):
        load({}, {"OTELGRES_DSN_FILE": str(tmp_path / "none")})


# What people write when a password has characters that mean something in a URI.
WRONG_DSNS = [
    f"postgresql://app:{SECRET}@{SECRET}@db/x",
    f"postgresql://app:{SECRET}/{SECRET}@db/x",
    f"postgresql://app:12/{SECRET}@db/x",
    f"postgresql://app:{SECRET}%zz@db/x",
    f"host=db password='{SECRET}",
    f"host=db password={SECRET} and more",
    f"{SECRET}",
]


@pytest.mark.parametrize("dsn", WRONG_DSNS)
def test_a_dsn_that_is_none_is_refused_without_being_quoted(dsn: str) -> None:
    with pytest.raises(InvalidDsn) as caught:
        check_dsn(dsn)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    with pytest.raises(SettingError) as shown:
        load({}, {"OTELGRES_DSN": dsn})
    assert SECRET not in str(shown.value)


@pytest.mark.parametrize("dsn", [URI, f"host=/run/x dbname=y password={SECRET}", "", "postgresql://[::1]:5432,h2:1/x", f"postgresql://u:1?{SECRET}@h/x",
                                 f"postgresql://u:a%40{SECRET}@h/x"])  # fmt: skip
def test_good_dsns(dsn: str) -> None:
    check_dsn(dsn)
    assert has_secret(dsn) is (SECRET in dsn)
    assert SECRET not in without_secrets(dsn)


def test_settings_do_not_show_the_dsn() -> None:
    settings = load({}, {"OTELGRES_DSN": URI})
    assert asdict(settings)["dsn"] == URI
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    "content",
    [
        f"dsn: {URI}\ngrpc: [",
        f"dsn: *{SECRET}",
        f"dsn: !{SECRET} x",
        f"dsn: {{password: {SECRET}}}",
        f"dsn: [{SECRET}]",
        f"dsn: '{SECRET}",
        f"dsn: a: {SECRET}: b",
    ],
)
def test_errors_about_the_file_do_not_show_the_dsn(content: str, tmp_path: Path) -> None:
    file = tmp_path / "otelgres.yaml"
    file.write_text(content)
    with pytest.raises(SettingError) as caught:
        load({}, {"OTELGRES_CONFIG": str(file)})
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_password_by_flag_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    flags: dict[str, Any] = {"dsn": URI}
    with caplog.at_level(logging.DEBUG):
        load(flags, {})
    assert "OTELGRES_DSN" in caplog.text
    assert SECRET not in caplog.text
    caplog.clear()
    load({"dsn": "dbname=x"}, {})
    load({}, {"OTELGRES_DSN": URI})
    assert not caplog.records

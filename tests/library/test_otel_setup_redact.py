"""What is hidden and what is cut before it leaves, what is not, and that no text takes long."""

import time
from typing import Any

import pytest
from opentelemetry.attributes import BoundedAttributes

from otel_setup.config.settings import Arguments, resolve
from otel_setup.export.stats import Counts
from otel_setup.sdk.sanitizer import Sanitizer
from otel_setup.sdk.truncation import Truncator
from otelgres.exporters.redaction import REDACTED, Redaction, rules
from tests.library.otlp_receiver import Receiver, attributes, plain, run_app


@pytest.mark.parametrize(
    "name",
    [
        "password", "user.password", "passwordHash", "DB_PASSWD", "http.request.header.authorization", "set-cookie",
        "http.request.header.x-api-key", "apiKey", "api_key", "access_token", "accessToken", "token", "client_secret",
        "SECRET_KEY", "aws.secret_access_key", "private_key", "card.number", "cardNumber", "credit_card_number", "cvv",
        "card_pin", "jwt", "credentials", "db.connection_string",
    ],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert Redaction().hides(name)


@pytest.mark.parametrize(
    "name",
    [
        "gen_ai.usage.output_tokens", "token.count", "session_id", "symbol", "primary_key", "keyboard", "passenger",
        "compass", "author", "secretary", "pinned", "discard", "log.record.uid", "messaging.kafka.message.key",
        "db.system.name", "http.request.method", "tokenizer",
    ],
)  # fmt: skip
def test_names_of_no_secrets(name: str) -> None:
    assert not Redaction().hides(name)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("login with password=hunter2 failed", "login with password=[redacted] failed"),
        ('{"user": "x", "password": "hun ter2", "n": 1}', '{"user": "x", "password": [redacted], "n": 1}'),
        ("token: abc123, next", "token: [redacted], next"),
        ("db_password='s e c'; x", "db_password=[redacted]; x"),
        ("GET /v1?api_key=abc&x=1", "GET /v1?api_key=[redacted]&x=1"),
        ("https://a.example/b?sv=1&sig=a%2Fb&x=1", "https://a.example/b?sv=1&sig=[redacted]&x=1"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [redacted]"),
        ("sent Bearer abc123def456 to x", "sent Bearer [redacted] to x"),
        ("postgresql://app:hunter2@db:5432/x", "postgresql://app:[redacted]@db:5432/x"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-def_1 end", "jwt [redacted] end"),
        ("key AKIAIOSFODNN7EXAMPLE used", "key [redacted] used"),
        ("ghp_" + "a1B2" * 9 + " x", "[redacted] x"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----\nrest", "[redacted]\nrest"),
        ("paid with 4111 1111 1111 1111 today", "paid with [redacted] today"),
        ("paid with 4111-1111-1111-1111.", "paid with [redacted]."),
        ("amex 378282246310005, mc 5555555555554444", "amex [redacted], mc [redacted]"),
    ],
)
def test_values_of_secrets(text: str, shown: str) -> None:
    assert Redaction().text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "order 4111111111111112 accepted",  # the check digit is wrong
        "trace 41111111111111114111111111111111",
        "at 1790000000000000000 ns", "5b8aa5a2-d2c8-72e8-321c-f37308d69df2", "3.4111111111111111",
        "bearer of good news everyone", "basic authentication is off", "the password was wrong", "http://host:4317/path",
        "primary key=5 violated", "tokens=500", "git log --author=me", "mailto:a@b.example",
    ],
)  # fmt: skip
def test_values_of_no_secrets(text: str) -> None:
    assert Redaction().text(text) == text


def test_own_rules_add_to_the_defaults_or_replace_them() -> None:
    added = rules({"keys": [r"^customer\.email$"], "values": r"[\w.]+@[\w.]+"})
    assert added.hides("customer.email")
    assert added.hides("password")
    assert added.text("mail to a.b@c.example") == "mail to [redacted]"

    replaced = rules({"keys": ["iban"], "defaults": False})
    assert replaced.hides("iban")
    assert not replaced.hides("password")
    assert replaced.text("password=x y z") == "password=x y z"

    unusable: list[dict[str, Any]] = [{"keys": ["("]}, {"kyes": []}, {"values": 5}]
    for nonsense in unusable:
        settings = resolve(Arguments(redact=nonsense), {})
        assert len(settings.warnings) == 1
        assert settings.processing.redaction is not None
        assert settings.processing.redaction.hides("password")


@pytest.mark.parametrize(
    "piece",
    ["eyJ-", "eyJaaaaaaaa.", "password", "password=", "token:'", 'pwd="', "a_", "://", "://a:", "bearer ", "ghp_",
     "sk-", "4111 ", "-----BEGIN PRIVATE KEY-----", "authorization: ", "?sig=", " ", "a", "passw_"],
)  # fmt: skip
def test_no_text_takes_more_than_linear_time(piece: str) -> None:
    """Sixteen times the text may take about sixteen times as long; quadratic would be 256 times."""

    def took(length: int) -> float:
        text = piece * (length // len(piece))
        best = float("inf")
        for _ in range(3):
            began = time.thread_time()
            Redaction().text(text)
            best = min(best, time.thread_time() - began)
        return best

    # CPU time of this thread, which a busy machine does not stretch by a factor of five.
    assert took(256_000) < max(80 * took(16_000), 0.05)


def scrubber(limit: int = 1000, redaction: Redaction | None = None) -> tuple[Sanitizer, Counts]:
    counts = Counts()
    return Sanitizer(redaction, limit, 2 * limit, counts), counts


def scrubbed(values: dict[str, Any], limit: int = 1000, redaction: Redaction | None = None) -> tuple[Any, Counts]:
    used, counts = scrubber(limit, redaction)
    given = BoundedAttributes(attributes=values, immutable=False, extended_attributes=True)
    found = used._attributes(given)
    used._report()
    return found, counts


def test_giant_values_are_cut_and_counted_and_the_rest_is_untouched() -> None:
    given = {
        "fits": "x" * 1000, "long": "x" * 5000, "wide": "ü" * 700, "bytes": b"x" * 5000,
        "list": ["x" * 600, "y" * 600, "z"], "map": {"a": "x" * 5000, "b": 1}, "many": ["ab"] * 1000, "n": 5,
    }  # fmt: skip
    found, counts = scrubbed(given)

    assert found["fits"] == given["fits"]
    assert found["n"] == 5
    assert found["long"].endswith("…[truncated, 5000 characters]")
    assert found["wide"].endswith("…[truncated, 700 characters]")
    assert len(found["bytes"]) == 1000
    assert found["list"][0] == "x" * 600
    assert found["list"][1].endswith("…[truncated, 600 characters]")
    assert "truncated" in found["map"]["a"]
    assert found["many"][-1].startswith("…[truncated, ")
    assert counts.changes()["truncated"] == 8  # two in the list and in the map: a text, and what came after it
    for name in ("long", "wide", "many"):
        assert len(str(found[name]).encode()) < 8000


def test_what_was_cut_fits_the_next_time() -> None:
    once = Truncator(1000).fit("ü" * 5000)
    again = Truncator(1000)
    assert again.fit(once) == once
    assert again.cuts == 0


def test_secrets_in_containers_and_under_names_are_hidden() -> None:
    given = {
        "password": 12345, "has_password": True, "token": ["a", "b"], "http": {"headers": {"cookie": "c=1"}, "ok": 1},
        "tags": ["x", "password=abcdef"], "secret": None, "log.record.uid": "4111111111111111", "plain": "hello world",
    }  # fmt: skip
    found, counts = scrubbed(given, redaction=Redaction())

    assert found["password"] == found["token"] == REDACTED
    assert found["has_password"] is True
    assert found["http"] == {"headers": {"cookie": REDACTED}, "ok": 1}
    assert list(found["tags"]) == ["x", "password=[redacted]"]
    assert found["secret"] is None
    assert found["log.record.uid"] == "4111111111111111"
    assert found["plain"] == "hello world"
    assert counts.changes()["redacted"] == 4


def test_nothing_is_copied_where_nothing_changes() -> None:
    used, _ = scrubber(redaction=Redaction())
    given = BoundedAttributes(attributes={"a": 1, "b": "text", "c": ("x", "y")}, immutable=False)
    assert used._attributes(given) is given


APP = """
import logging, sys
from opentelemetry import trace
from otel_setup import configure_telemetry
configure_telemetry(endpoint=sys.argv[1], redact=eval(sys.argv[2]))
log = logging.getLogger("app")
log.info("password=%s", "hunter2", extra={"api_key": "abc"})
log.info({"user": "me", "password": "hunter2"})
log.info("x" * 3_000_000)
span = trace.get_tracer("app").start_span("s", attributes={"db.password": "hunter2", "big": "x" * 1_000_000})
span.add_event("e", {"authorization": "hunter2"})
span.set_status(trace.StatusCode.ERROR, "password=hunter2")
span.end()
"""


def test_secrets_and_giants_do_not_leave_an_application() -> None:
    with Receiver() as receiver:
        run_app(APP, receiver.grpc_endpoint, "None")

        text, structured, giant = receiver.logs()
        assert plain(text.body) == "password=[redacted]"
        assert attributes(text)["api_key"] == REDACTED
        assert plain(structured.body) == {"user": "me", "password": REDACTED}
        assert len(giant.body.string_value.encode()) <= 256 * 1024
        span = receiver.span("s")
        assert attributes(span)["db.password"] == REDACTED
        assert len(attributes(span)["big"].encode()) <= 64 * 1024
        assert attributes(span.events[0])["authorization"] == REDACTED
        assert span.status.message == "password=[redacted]"
        assert not any("hunter2" in str(message) for _, message, _ in receiver.received)


QUEUED = """
import logging, sys
from opentelemetry.sdk._logs import LogRecordProcessor
from otel_setup import configure_telemetry
class Queue(LogRecordProcessor):
    def on_emit(self, record): print(len(record.log_record.body))
    def shutdown(self): pass
    def force_flush(self, timeout_millis=0): return True
configure_telemetry(endpoint=sys.argv[1]).logger_provider.add_log_record_processor(Queue())
logging.getLogger("app").info("%s", "x" * 3_000_000)
"""


def test_a_giant_text_is_cut_before_it_is_queued() -> None:
    with Receiver() as receiver:
        assert int(run_app(QUEUED, receiver.grpc_endpoint).stdout) <= 256 * 1024


def test_redaction_can_be_off_and_come_from_the_environment() -> None:
    with Receiver() as receiver:
        run_app(APP, receiver.grpc_endpoint, "False")
        assert plain(receiver.logs()[0].body) == "password=hunter2"

        run_app(APP, receiver.grpc_endpoint, "None", OTELGRES_TELEMETRY_REDACT="off")
        assert plain(receiver.logs()[3].body) == "password=hunter2"

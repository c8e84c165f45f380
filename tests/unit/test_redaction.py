"""Redaction: every secret in every field of every request is gone, ordinary telemetry stays, and no text takes long."""

import importlib
import pkgutil
import re
import time
from collections.abc import Iterator
from typing import Any, Final

import opentelemetry.semconv._incubating.attributes as incubating
import opentelemetry.semconv.attributes as stable
import pytest

from otelgres.exporters.batch import Signal
from otelgres.exporters.descriptors import is_repeated
from otelgres.exporters.items import REQUESTS as CLASSES
from otelgres.exporters.raw_messages import request_class
from otelgres.exporters.redaction import Redaction
from otelgres.exporters.redaction_shapes import CARD as CARD_SHAPE
from otelgres.exporters.redaction_shapes import REDACTED, SHAPES
from otelgres.exporters.redaction_walk import NOT_LOOKED_AT, MessageRedactor
from tests.secrets_corpus import CARD, ORDINARY, SECRET, SECRETS

REQUESTS: Final[dict[Signal, Any]] = {**CLASSES}
_ANY_VALUE: Final = "opentelemetry.proto.common.v1.AnyValue"


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
        "tokenizer", "password.length",
    ],
)  # fmt: skip
def test_names_of_no_secrets(name: str) -> None:
    assert not Redaction().hides(name)


def test_names_of_the_semantic_conventions_stay_and_hide_nothing() -> None:
    modules = [
        importlib.import_module(f"{package.__name__}.{module.name}")
        for package in (stable, incubating)
        for module in pkgutil.iter_modules(package.__path__)
    ]
    names = {
        value
        for module in modules
        for name, value in vars(module).items()
        if name.isupper() and name[0] != "_" and isinstance(value, str)
    }
    redaction = Redaction()
    assert len(names) > 500
    assert {name for name in names if redaction.hides(name)} == {"db.connection_string"}
    assert [name for name in names if redaction.text(name) != name] == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("login with password=hunter2 failed", "login with password=[redacted] failed"),
        ('{"user": "x", "password": "hun ter2", "n": 1}', '{"user": "x", "password": "[redacted]", "n": 1}'),
        (r"{\"password\": \"x y\", \"n\": 1}", r"{\"password\": \"[redacted]\", \"n\": 1}"),
        ("token: abc123, next", "token: [redacted], next"),
        ("db_password='s e c'; x", "db_password='[redacted]'; x"),
        ("GET /v1?api_key=abc&x=1", "GET /v1?api_key=[redacted]&x=1"),
        ("https://a.example/b?sv=1&sig=a%2Fb&x=1", "https://a.example/b?sv=1&sig=[redacted]&x=1"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [redacted]"),
        ("sent Bearer abc123def456 to x", "sent Bearer [redacted] to x"),
        ("postgresql://app:hunter2@db:5432/x", "postgresql://app:[redacted]@db:5432/x"),
        ("ALTER ROLE x PASSWORD 'it''s' VALID", "ALTER ROLE x PASSWORD '[redacted]' VALID"),
        ("run --password hunter2 --user me", "run --password [redacted] --user me"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-def_1 end", "jwt [redacted] end"),
        ("key AKIAIOSFODNN7EXAMPLE used", "key [redacted] used"),
        ("ghp_" + "a1B2" * 9 + " x", "[redacted] x"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----\nrest", "[redacted]\nrest"),
        ("paid with 4111 1111 1111 1111 today", "paid with [redacted] today"),
        ("paid with 4111-1111-1111-1111.", "paid with [redacted]."),
        ("amex 378282246310005, mc 5555555555554444", "amex [redacted], mc [redacted]"),
    ],
)
def test_what_is_left_of_a_text_can_be_read(text: str, shown: str) -> None:
    assert Redaction().text(text) == shown


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_of_every_kind_is_gone(kind: str) -> None:
    redaction = Redaction()
    for text in (SECRETS[kind], f"é {SECRETS[kind]}", SECRETS[kind].upper() if kind in ("assignment", "SQL") else ""):
        shown = redaction.text(text)
        assert SECRET.lower() not in shown.lower()
        assert redaction.text(shown) == shown
        assert redaction.bytes(text.encode()) == shown.encode()
        assert redaction.bytes(text.encode("latin-1") + b"\xff") == redaction.text(text + "\xff").encode("latin-1")


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_telemetry_stays(text: str) -> None:
    assert Redaction().text(text) == text
    assert Redaction().bytes(text.encode()) == text.encode()


def _paths(descriptor: Any, values: int = 0) -> Iterator[tuple[Any, ...]]:
    """The fields to follow to every text below a message. Values are followed into two levels of lists and maps."""
    if descriptor.full_name == _ANY_VALUE:
        if values == 3:
            return
        values += 1
    for field in descriptor.fields:
        if field.message_type is not None:
            assert not field.message_type.GetOptions().map_entry, f"{field.full_name} is a map: no walk for it"
            yield from ((field, *path) for path in _paths(field.message_type, values))
        elif field.type in (field.TYPE_STRING, field.TYPE_BYTES):
            yield (field,)


def _put(message: Any, path: tuple[Any, ...], text: str) -> None:
    """Sets the text at the end of ``path``, and adds what is on the way to it."""
    for field in path[:-1]:
        holder = getattr(message, field.name)
        message = holder.add() if is_repeated(field) else holder
    last = path[-1]
    value: Any = text if last.type == last.TYPE_STRING else text.encode()
    if is_repeated(last):
        getattr(message, last.name).append(value)
    else:
        setattr(message, last.name, value)


_TEXTS: Final = {
    f"{kind} {signal} {'.'.join(field.name for field in path)}": (request, path)
    for kind, classes in (("strings", REQUESTS), ("bytes", {signal: request_class(signal) for signal in Signal}))
    for signal, request in classes.items()
    for path in _paths(request.DESCRIPTOR)
}


def test_every_secret_in_every_field_of_every_request_is_gone() -> None:
    assert len(_TEXTS) > 400
    redactor = MessageRedactor(Redaction())
    texts = ("\n".join(list(SECRETS.values())[::8]), f"paid with {CARD}")
    left = []
    for name, (request, path) in _TEXTS.items():
        if path[-1].full_name in NOT_LOOKED_AT:
            continue
        # Several kinds in one field; each kind alone is tested above.
        for text in texts:
            message = request()
            _put(message, path, text)
            changes = redactor.redact(message)
            shown = message.SerializeToString()
            if not changes or SECRET.encode() in shown or CARD.encode() in shown:
                left.append(name)
            elif redactor.redact(message):
                left.append(f"{name}, a second time")
    assert left == []


def test_what_is_not_looked_at_is_ids_only() -> None:
    ids = {path[-1].full_name for _, path in _TEXTS.values() if path[-1].name.endswith(("trace_id", "span_id"))}
    assert set(NOT_LOOKED_AT) == ids
    for name, (request, path) in _TEXTS.items():
        if path[-1].full_name in NOT_LOOKED_AT:
            message = request()
            _put(message, path, "password=x"[:8])
            assert path[-1].type == path[-1].TYPE_BYTES, name
            assert MessageRedactor(Redaction()).redact(message) == 0


@pytest.mark.parametrize("raw", [False, True], ids=["strings", "bytes"])
def test_the_name_of_a_secret_hides_every_kind_of_value_but_a_boolean(raw: bool) -> None:
    request = request_class(Signal.LOGS) if raw else REQUESTS[Signal.LOGS]
    key, text = (b"password", SECRET.encode()) if raw else ("password", SECRET)
    for signal_field in ("body", "attributes"):
        for kind, value in (("string_value", text), ("bytes_value", SECRET.encode()), ("int_value", 4711),
                            ("double_value", 47.11), ("array_value", None), ("kvlist_value", None),
                            ("bool_value", True)):  # fmt: skip
            message = request()
            record = message.resource_logs.add().scope_logs.add().log_records.add()
            pairs = record.attributes if signal_field == "attributes" else record.body.kvlist_value.values
            pair = pairs.add(key=key)
            if kind == "array_value":
                pair.value.array_value.values.add(string_value=text)
            elif kind == "kvlist_value":
                pair.value.kvlist_value.values.add().value.string_value = text
            else:
                setattr(pair.value, kind, value)
            before = message.SerializeToString()
            assert MessageRedactor(Redaction()).redact(message) == (kind != "bool_value")
            if kind == "bool_value":
                assert message.SerializeToString() == before
            else:
                assert pair.value.string_value in (REDACTED, REDACTED.encode())


def test_unknown_fields_are_dropped_and_counted() -> None:
    message = REQUESTS[Signal.TRACES]()
    message.resource_spans.add().scope_spans.add().spans.add(name="x")
    known = message.SerializeToString()
    # Field 99, text.
    unknown = b"\x9a\x06" + bytes([len(SECRET)]) + SECRET.encode()
    for data in (known + unknown, REQUESTS[Signal.TRACES](resource_spans=message.resource_spans).SerializeToString()):
        given = REQUESTS[Signal.TRACES].FromString(data)
        given.resource_spans[0].MergeFromString(unknown)
        assert MessageRedactor(Redaction()).redact(given) == 1
        assert given.SerializeToString() == known


def test_keys_of_rows_stay() -> None:
    """A changed tenant would give rows to somebody else; equal uids would make one record of two."""
    message = REQUESTS[Signal.LOGS]()
    group = message.resource_logs.add()
    group.resource.attributes.add(key="tenant.id").value.string_value = "token: acme-inc"
    record = group.scope_logs.add().log_records.add()
    record.attributes.add(key="log.record.uid").value.string_value = "4111111111111111"
    before = message.SerializeToString()
    own = Redaction([re.compile("tenant")])
    assert MessageRedactor(own).redact(message) == 0
    assert message.SerializeToString() == before
    record.attributes.add(key="tenant.id").value.string_value = "x"
    record.attributes.add(key="log.record.uid").value.string_value = f"password={SECRET}"
    assert MessageRedactor(own).redact(message) == 2


# What a pattern could read again and again: beginnings, what is repeated, and ends that never come.
_STARTS: Final = (
    "", "password=", 'password="', "password='", 'password=\\"', "password: \\\\\\'", "token", "<password>", "--token ",
    "authorization: ", "authorization: digest ", 'cookie: "', "cookie: a", "bearer ", "://", "://a:", "mysql ", "curl ",
    "login ", "redis-cli ", "sshpass -p ", "identified by '", "password $x$", "?sig=", "&key=", "eyJaaaaaaaa.eyJ",
    "-----BEGIN PRIVATE KEY-----", "4111", "ghp_", "sk-", "AIza", "SG.",
)  # fmt: skip
_REPEATED: Final = (
    "a", "A", "1", " ", "\\", '"', "'", '\\"', "\\\\\"", "&", "&quot;", "%22", "=", ":", ";", "; a", ",", "/", "://",
    "://a:", "@", "a@", "-", "_", "a_", "a-", "--a-", "-p", " -p", " -u a", " -a ", "<", "<a", "$", "$a", "''", ")",
    "]a", "passw_", "password", "password ", "password=", 'password="', "token='", 'pwd=\\"', "secret=\\\\'",
    "identified ",
    "identified by ", "bearer ", "cookie: ", "authorization: ", "mysql ", "mysql -p", "curl -u ", "login -p ",
    "redis-cli -a ", "eyJ-", "eyJaaaaaaaa.", "ghp_", "sk-", "4111 ", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----",
    "?sig=", "\n", "\0",
)  # fmt: skip
_SHORT, _LONG = 500, 4_000
# Eight times the text: about 8 times as long if it is linear, 64 times if it is quadratic.
_MOST: Final = 24


def _took(pattern: re.Pattern[str], text: str, times: int) -> float:
    """CPU time of this thread, which a busy machine does not stretch."""
    best = float("inf")
    for _ in range(times):
        began = time.thread_time()
        pattern.sub("", text)
        best = min(best, time.thread_time() - began)
    return best


@pytest.mark.parametrize("shape", [*SHAPES, CARD_SHAPE], ids=lambda shape: "-".join(shape.needles)[:20])
def test_no_text_takes_more_than_linear_time(shape: Any) -> None:
    pattern = shape.pattern
    for start in _STARTS:
        for piece in _REPEATED:
            short, long = (start + piece * (length // len(piece)) for length in (_SHORT, _LONG))
            limit = 0.002
            if (once := _took(pattern, long, 1)) > limit and once > _MOST * _took(pattern, short, 1):
                # Again, for what was not the pattern's time.
                assert _took(pattern, long, 3) < max(_MOST * _took(pattern, short, 5), limit), (start, piece)


def test_all_patterns_together_stay_linear() -> None:
    redaction = Redaction()
    for piece in _REPEATED:
        text = f"{' '.join(_STARTS)}{piece * (40_000 // len(piece))}"
        began = time.thread_time()
        redaction.text(text)
        assert time.thread_time() - began < 1, piece

"""What an application hides and cuts before it leaves. The rules are tested in tests/unit/test_redaction.py."""

from typing import Any

from opentelemetry.attributes import BoundedAttributes

from otel_setup.config.settings import Arguments, resolve
from otel_setup.export.stats import Counts
from otel_setup.sdk.sanitizer import Sanitizer
from otel_setup.sdk.truncation import Truncator
from otelgres.exporters.redaction import rules
from otelgres.exporters.redaction_shapes import REDACTED
from tests.library.otlp_receiver import Receiver, attributes, plain, run_app
from tests.secrets_corpus import SECRET, SECRETS


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


def scrubber(limit: int = 1000) -> tuple[Sanitizer, Counts]:
    counts = Counts()
    return Sanitizer(limit, 2 * limit, counts), counts


def scrubbed(values: dict[str, Any], limit: int = 1000) -> tuple[Any, Counts]:
    used, counts = scrubber(limit)
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


def test_nothing_is_copied_where_nothing_changes() -> None:
    used, _ = scrubber()
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


EVERYTHING = """
import logging, os, sys
from opentelemetry import metrics, trace
from otel_setup import configure_telemetry
secret = sys.argv[2]
telemetry = configure_telemetry(
    "shop", endpoint=sys.argv[1], service_version=secret, resource_attributes={"api_key": "hunter2Xq", "note": secret}
)
log = logging.getLogger("app")
data = {"password": "hunter2Xq", "list": [secret]}
log.warning("%s in %s", "text", secret, extra={"data": data, "has_password": True})
log.info(secret.encode())
log.info("stack", stack_info=True, extra={"raw": secret.encode()})
try:
    raise ValueError(secret)
except ValueError:
    log.exception("failed")
logging.getLogger(secret).info({"password": ["hunter2Xq"], secret: 1})
logging.addLevelName(31, secret)
log.log(31, "named")
tracer = trace.get_tracer(secret, secret, schema_url=secret, attributes={"scope": secret})
state = trace.TraceState([("vendor", "token:hunter2Xq")])
link = trace.Link(trace.SpanContext(1, 2, True, trace_state=state), {"note": secret})
given = {secret: "x", "token": 4711, "b": secret.encode()}
with tracer.start_as_current_span(secret, links=[link], attributes=given) as span:
    span.add_event(secret, {"note": [secret, "plain"]})
    span.record_exception(ValueError(secret))
    span.set_status(trace.StatusCode.ERROR, secret)
meter = metrics.get_meter(secret, secret, schema_url=secret, attributes={"scope": secret})
counter = meter.create_counter("orders", "{order}", secret)
counter.add(1, {"password": "hunter2Xq", "note": secret, "kind": "plain"})
meter.create_histogram("sizes").record(1, {"note": secret})
telemetry.logger_provider.get_logger(secret).emit(
    event_name=secret, body=secret, severity_text=secret, attributes={"note": secret}
)
"""


def test_no_part_of_any_signal_lets_a_secret_leave() -> None:
    text = "\n".join(SECRETS[kind] for kind in ("quoted", "JSON in JSON", "SQL", "option", "URL", "header"))
    with Receiver() as receiver:
        resource = f"deployment.note={SECRETS['assignment'].replace(' ', '%20')},region=eu"
        run_app(EVERYTHING, receiver.grpc_endpoint, text, OTEL_RESOURCE_ATTRIBUTES=resource)
        messages: dict[str, list[Any]] = {signal: [] for signal in ("logs", "traces", "metrics")}
        for signal, message, _ in receiver.received:
            messages[signal].append(message)
            assert SECRET.encode() not in message.SerializeToString(), signal
    # All of it has arrived, without the secrets.
    assert all(messages.values())
    resource_attributes = attributes(messages["traces"][0].resource_spans[0].resource)
    assert resource_attributes["service.name"] == "shop"
    assert resource_attributes["region"] == "eu"
    assert resource_attributes["api_key"] == REDACTED
    assert resource_attributes["deployment.note"] == "login with password=[redacted] failed"
    (span,) = (span for span in receiver.spans() if span.links)
    assert attributes(span)["token"] == REDACTED
    assert attributes(span.events[0])["note"][1] == "plain"
    (first, *_) = receiver.logs()
    assert attributes(first)["has_password"] is True
    assert attributes(first)["data"]["password"] == REDACTED
    points = [
        point
        for message in messages["metrics"]
        for group in message.resource_metrics
        for scope in group.scope_metrics
        for metric in scope.metrics
        if metric.name == "orders"
        for point in metric.sum.data_points
    ]
    assert {attributes(point)["password"] for point in points} == {REDACTED}
    assert {attributes(point)["kind"] for point in points} == {"plain"}


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

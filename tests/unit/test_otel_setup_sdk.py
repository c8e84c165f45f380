"""The names of OpenTelemetry that may change: the installed release has them all, and one that is missing is told."""

import ast
import collections
import inspect
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from otel_setup import sdk_adapter
from otel_setup.sdk.check import missing_names
from otel_setup.sdk.resource import HashedResource
from otel_setup.sdk_adapter import add_attributes, attributes_of, changed_span, start_span, update_resource, watch_queue

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = {Path(inspect.getfile(function)) for function in (start_span, missing_names)}
MODULES = sorted(
    path
    for folder in ("otel_setup", "collector", "exporters", "sql")
    for path in (ROOT / folder).rglob("*.py")
    if path not in ALLOWED
)


@pytest.fixture(autouse=True)
def nothing_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk_adapter, "_warned", set())


def move(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """As if the release had ``name`` under another name, and nobody had asked for it yet."""
    module, attribute = sdk_adapter.PLACES[name]
    monkeypatch.setitem(sdk_adapter.PLACES, name, (module, f"{attribute}_moved"))
    monkeypatch.delitem(vars(sdk_adapter), name, raising=False)


def test_the_installed_release_has_every_name() -> None:
    assert missing_names() == []


def test_only_the_adapter_imports_private_names_of_opentelemetry() -> None:
    found = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("opentelemetry"):
                parts = [*str(node.module).split("."), *(alias.name for alias in node.names)]
                found += [f"{path}:{node.lineno}" for part in parts if part.startswith("_")]
    assert len(MODULES) > 100
    assert found == []


def test_a_missing_name_without_a_substitute_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    move(monkeypatch, "encode_logs")
    with pytest.raises(ImportError, match=r"OpenTelemetry .* has no .*_log_encoder\.encode_logs_moved"):
        _ = sdk_adapter.encode_logs
    assert missing_names() == ["opentelemetry.exporter.otlp.proto.common._log_encoder.encode_logs_moved"]
    with pytest.raises(AttributeError, match="nonsense"):
        _ = sdk_adapter.nonsense


@pytest.mark.parametrize(
    "name", ["keep_through_reconfiguration", "OTLPMetricExporterMixin", "SUPPRESS_INSTRUMENTATION"]
)
def test_a_missing_name_with_a_substitute_is_warned_of_once(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    move(monkeypatch, name)
    first = getattr(sdk_adapter, name)
    assert getattr(sdk_adapter, name) is first
    (record,) = caplog.records
    assert f"{sdk_adapter.PLACES[name][1]}:" in record.getMessage()
    assert (record.name, record.levelno) == ("otel_setup", logging.WARNING)


def test_a_full_queue_is_counted() -> None:
    lost: list[None] = []
    batches = SimpleNamespace(_queue=collections.deque(maxlen=2))
    length = watch_queue(SimpleNamespace(_batch_processor=batches), lambda: lost.append(None))
    for number in range(5):
        batches._queue.appendleft(number)
    assert (length(), len(lost), list(batches._queue)) == (2, 3, [4, 3])


def test_a_queue_that_cannot_be_found_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        assert watch_queue(SimpleNamespace(), lambda: None)() == 0
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_span_that_cannot_be_changed_is_not_sent_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(AttributeError, match="_name"):
        changed_span(SimpleNamespace(name="secret"), name="x", attributes={}, scope=None, status=None)  # type: ignore[arg-type]
    assert "spans with secrets" in caplog.text


def test_a_span_takes_mappings_and_lists() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    given = {"plain": 1, "map": {"a": [1, "b"]}, "list": [1, {"a": 2}]}
    span = start_span(provider.get_tracer("test"), "name", attributes=given)
    add_attributes(span, {"later": {"x": 1.5}, "text": "y"})
    assert dict(attributes_of(span)) | {"list": list(attributes_of(span)["list"])} == {
        **given, "later": {"x": 1.5}, "text": "y",
    }  # fmt: skip


@pytest.mark.parametrize("method", [True, False])
def test_a_changed_resource_reaches_what_was_made_before(method: bool) -> None:
    resource = HashedResource({"service.name": "a"})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracer = provider.get_tracer("test")
    hash(resource)
    # Before 1.44 providers have no method for it; what they made holds the same object.
    update_resource(provider if method else SimpleNamespace(resource=resource), {"process.pid": 7})
    span = tracer.start_span("name")
    assert span.resource.attributes["process.pid"] == 7  # type: ignore[attr-defined]
    assert hash(span.resource) == hash(Resource({"service.name": "a", "process.pid": 7}))  # type: ignore[attr-defined]

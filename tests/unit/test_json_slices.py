"""OTLP/JSON in slices gives the same request as in one piece, and refuses the same with the same path."""

import random
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelgres.exporters import json_slices, otlp_json
from otelgres.exporters.batch import Signal
from otelgres.exporters.json_slices import slices
from otelgres.exporters.otlp_json import InvalidJson, batch_from_json, request_from_json, request_to_json
from otelgres.exporters.outline import DEFAULT_BOUNDS, Bounds, TooManyParts
from tests import otlp_raw
from tests.fuzz import corpus, mutate
from tests.unit.test_otlp_json_random import REQUESTS, _fields_of


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_slices, "SLICE_BYTES", 100)
    monkeypatch.setattr(json_slices, "_WHOLE_BYTES", 0)
    monkeypatch.setattr(otlp_json, "SLICE_BYTES", 100)


def both(signal: Signal, text: bytes) -> list[Any]:
    """What is made of the text in slices and in one piece: the items, or the error."""
    found: list[Any] = []
    for size in (100, 1 << 30):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(json_slices, "SLICE_BYTES", size)
            patch.setattr(json_slices, "_WHOLE_BYTES", 0)
            try:
                payload = request_from_json(signal, text)
                found.append(otlp_raw.items(otlp_raw.REQUESTS[signal].FromString(payload)))
            except InvalidJson as error:
                found.append(str(error))
    return found


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_random_requests(data: st.DataObject) -> None:
    signal = data.draw(st.sampled_from(Signal))
    message = REQUESTS[signal](**data.draw(_fields_of(REQUESTS[signal].DESCRIPTOR)))
    text = request_to_json(signal, message.SerializeToString())
    if data.draw(st.booleans()):
        text = orjson.dumps(orjson.loads(text), option=orjson.OPT_INDENT_2)
    in_slices, in_one = both(signal, text)
    assert in_slices == in_one


def test_damaged_texts() -> None:
    rng = random.Random(5)
    taken = 0
    for number in range(3000):
        signal = [*Signal][number % 3]
        text = mutate.text(corpus.JSON[signal], [corpus.JSON[signal]], rng)
        in_slices, in_one = both(signal, text)
        if isinstance(in_one, str):
            # Offsets in the text, and what comes first, differ; a refusal it stays.
            assert isinstance(in_slices, str), text
        elif isinstance(in_slices, str):
            assert "set only one of" in in_slices, text
        else:
            assert in_slices == in_one, text
            taken += 1
    assert taken > 300


LONG = b'"name":"' + b"x" * 120 + b'"'


def span(more: bytes = b"") -> bytes:
    return b'{"traceId":"%s","spanId":"%s",%s%s}' % (b"01" * 16, b"02" * 8, LONG, more)


def request(*spans: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    items = b",".join(spans)
    return b'{"resourceSpans":[{%s"scopeSpans":[{"scope":{"name":"s"},"spans":[%s]}]%s}]}' % (before, items, after)


@pytest.mark.parametrize(
    "text",
    [
        request(span(), span(), before=b'"resource":{"attributes":[]},', after=b',"schemaUrl":"u"'),
        request(span(), b"null", span()),
        request(b"null", span(), b"null"),
        request(span(), b" null , null", span(), b"7"),
        request(span(), b"", span()),
        request(span() + span()),
        request(span(), span(b',"kind":"x"')),
        request(span(), span(), span(b',"attributes":[{"key":1}]')),
        request(span(), after=b",") + b"x",
        request(span()) + b"]",
        request(span()) + request(span()),
        request(span()).replace(b"]}]}", b"}]}]", 1),
        request(span(b',"unknown":"\\\\\\"]}"'), span(b',"k\\"{[":[[{}]]')),
        b'{"x":"resourceSpans","y":[' + span() + b'],"resourceSpans":[]}',
        b'{"resourceSpans":{"scopeSpans":[{"spans":[' + span() + b"]}]}}",
        b'["resourceSpans",[' + span() + b"]]",
        b'{"resource_spans":[{"scope_spans":[{"spans":[' + span() + b"," + span() + b"]}]}]}",
        request(span(b',"attributes":[{"key":"resourceSpans","value":{"arrayValue":{"values":[]}}}]'), span()),
        b" \n" + request(span(), span()) + b" \n",
        b'{"unknown":[' + b"0," * 200 + b"0]," + request(span(), span())[1:],
    ],
)
def test_unusual_texts(text: bytes) -> None:
    in_slices, in_one = both(Signal.TRACES, text)
    if isinstance(in_one, str) and in_one.startswith("not JSON"):
        assert isinstance(in_slices, str)
    else:
        assert in_slices == in_one


def test_points_of_one_metric_are_cut() -> None:
    point = b'{"timeUnixNano":"5","asInt":"%d","attributes":[]}'
    points = b",".join([point % number for number in range(50)])
    text = (
        b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","sum":{"dataPoints":[%s],"isMonotonic":true}}'
        b"]}]}]}" % points
    )
    in_slices, in_one = both(Signal.METRICS, text)
    assert in_slices == in_one
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_slices, "SLICE_BYTES", 100)
        patch.setattr(json_slices, "_WHOLE_BYTES", 0)
        found = [*slices(Signal.METRICS, text, DEFAULT_BOUNDS)]
        assert len(found) > 10
        assert max(len(one.text) for one in found) < 600
        with pytest.raises(
            InvalidJson, match=r"^\$\.resourceMetrics\[0\]\.scopeMetrics\[0\]\.metrics\[0\]\.sum\.dataPoints\[40\]\."
        ):
            request_from_json(Signal.METRICS, text.replace(b'"40"', b'"x"'))


@pytest.mark.usefixtures("small")
def test_a_key_on_the_way_may_be_there_once() -> None:
    twice = request(span(), after=b',"scope_spans":[]')
    with pytest.raises(InvalidJson, match=r"set only one of scopeSpans, scope_spans, once"):
        request_from_json(Signal.TRACES, twice)


@pytest.mark.usefixtures("small")
def test_the_signal_of_a_large_line() -> None:
    assert batch_from_json(request(span(), span())).signal is Signal.TRACES
    for bad in (b'{"x":1,' + request(span())[1:], b"[" * 200, b'{"x":"' + b"y" * 200 + b'"}'):
        with pytest.raises(InvalidJson):
            batch_from_json(bad)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"resourceSpans":[' + b"{}, " * 40 + b"{}]}", "limit of 5 resource and scope groups"),
        (request(*[b"{}"] * 40), "more than the limit of 7: split it"),
        (request(*[b"[]"] * 500), "JSON values"),
        (request(*[b"0"] * 500), "JSON values"),
        (request(span(b',"attributes":[' + b"{}," * 300 + b"{}]")), "JSON values"),
        (b'{"unknown":[' + b'"",' * 300 + b'""]}', "JSON values"),
        (b"[" * 500, "JSON values"),
        (b'{"resourceSpans":[{"x":[' + b"0," * 300 + b"0]}]}", "JSON values"),
    ],
)
@pytest.mark.usefixtures("small")
def test_what_is_too_many_is_refused(text: bytes, words: str) -> None:
    with pytest.raises(TooManyParts, match=words):
        request_from_json(Signal.TRACES, text, Bounds(items=7, groups=5, parts=100))


@pytest.mark.parametrize("text", [b"[" * 500, b'{"unknown":[' + b'"",' * 500 + b'""]}'])
@pytest.mark.usefixtures("small")
def test_a_scan_ends_early(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_slices, "_WINDOW", 50)
    monkeypatch.setattr(json_slices, "_checked", lambda one, bounds: one)
    scanned: list[int] = []
    brackets = json_slices._BRACKETS

    def watched(data: bytes, start: int, end: int) -> Any:
        scanned.append(end)
        return brackets(data, start, end)

    monkeypatch.setattr(json_slices, "_BRACKETS", watched)
    with pytest.raises(TooManyParts, match="JSON values"):
        request_from_json(Signal.TRACES, text * 20, Bounds(items=7, groups=5, parts=100))
    assert max(scanned) < 2000


@pytest.mark.usefixtures("small")
def test_brackets_and_commas_in_strings_do_not_count() -> None:
    text = request(span(b',"traceState":"' + b'{[,\\"' * 500 + b'"'))
    assert request_from_json(Signal.TRACES, text, Bounds(items=7, groups=5, parts=100))


def test_ordinary_texts_are_not_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_slices, "_scan", None)
    attributes = b",".join([b'{"key":"key %d","value":{"stringValue":"some value"}}' % number for number in range(9)])
    ordinary = request(*[span(b',"attributes":[' + attributes + b"]")] * 512)
    assert len(ordinary) > 5 * json_slices.SLICE_BYTES
    (only,) = slices(Signal.TRACES, ordinary, DEFAULT_BOUNDS)
    assert only.text is ordinary


@pytest.mark.parametrize("unit", [b"{}", b"[]", b"0", b'{"a":0}'])
def test_what_is_large_once_parsed_is_scanned(unit: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    text = request(*[unit] * 70_000)
    assert len(text) < json_slices._WHOLE_BYTES
    scanned: list[bytes] = []
    monkeypatch.setattr(json_slices, "_scan", lambda data, *rest: scanned.append(data))
    assert [*slices(Signal.TRACES, text, Bounds(0, 0, 0))]
    assert scanned == [text]

"""The attribute cache says the same as taking every KeyValue apart, whatever it has seen before."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelgres.exporters.postgres.codec import attributes
from otelgres.exporters.postgres.codec.anyvalue import MalformedError, Repairs, key_value
from otelgres.exporters.postgres.codec.attributes import AttributeCache
from tests import otlp_from_rows, otlp_raw, otlp_repairs, otlp_strategies
from tests.otlp_raw import AnyValue, KeyValue

_SETTINGS = settings(max_examples=50, deadline=None, database=None)


@given(st.lists(otlp_strategies.attributes, max_size=4))
@_SETTINGS
def test_objects_hold_what_was_sent(lists: list[list[Any]]) -> None:
    cache = AttributeCache()
    for items in lists + lists:  # the second time from the cache
        repairs = Repairs()
        text, keys = cache.object([item.SerializeToString() for item in items], repairs)
        back = otlp_raw.Resource(attributes=otlp_from_rows.attributes(json.loads(text)))
        assert otlp_raw.canonical(back) == otlp_raw.canonical(otlp_raw.Resource(attributes=items))
        assert {otlp_from_rows.string(json.loads(key)) for key in keys} == {item.key for item in items}
        assert +repairs == otlp_repairs.key_values(items)


@given(st.lists(otlp_strategies.attributes, max_size=6))
@_SETTINGS
def test_a_full_cache_is_emptied_and_stays_correct(lists: list[list[Any]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attributes, "_ENTRIES", 2)
        small = AttributeCache()
        for items in lists + lists:
            raws = [item.SerializeToString() for item in items]
            assert small.object(raws, Repairs()) == AttributeCache().object(raws, Repairs())
            assert len(small._known) <= 2


def test_where_a_key_comes_twice_the_last_value_stands_and_all_are_kept() -> None:
    items = [otlp_raw.attribute("a", 1), otlp_raw.attribute("b", 2), otlp_raw.attribute("a", 3)]
    repairs = Repairs()
    text, _ = AttributeCache().object([item.SerializeToString() for item in items], repairs)
    assert json.loads(text) == {"a": 3, "b": 2, "$kvlist": [["a", 1], ["b", 2], ["a", 3]]}
    assert repairs == {"duplicate_key": 1}


def test_repairs_are_counted_each_time() -> None:
    raw = otlp_raw.attribute("a", "\0").SerializeToString()
    cache, repairs = AttributeCache(), Repairs()
    for _ in range(3):
        cache.object([raw], repairs)
    assert repairs == {"nul_character": 3}


def _same_as_slow(raw: bytes) -> None:
    """A fresh cache says of ``raw`` what ``key_value`` says: the same JSON, or that it is malformed."""
    try:
        key, value = key_value(raw, Repairs())
    except MalformedError:
        with pytest.raises(MalformedError):
            AttributeCache().miss(raw, Repairs())
    else:
        assert AttributeCache().miss(raw, Repairs()) == (key, key + b":" + value), raw


@pytest.mark.parametrize("key_size", [0, 1, 5, 100, 126, 127, 128, 130, 300])
@pytest.mark.parametrize("size", [0, 1, 5, 100, 113, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 300])
def test_sizes_around_one_length_byte(key_size: int, size: int) -> None:
    _same_as_slow(otlp_raw.attribute("k" * key_size, "v" * size).SerializeToString())
    _same_as_slow(otlp_raw.attribute("k" * key_size, size).SerializeToString())


@pytest.mark.parametrize("bits", range(65))
def test_ints_around_each_power_of_two(bits: int) -> None:
    for value in (2**bits - 1, 2**bits, -(2**bits)):
        if -(2**63) <= value < 2**63:
            _same_as_slow(otlp_raw.attribute("k", value).SerializeToString())


@pytest.mark.parametrize(
    "data",
    [
        "0a016b 1202 1800",
        "0a016b 1203 188000",  # a varint longer than it need be
        "0a016b 1204 18800001",  # and a byte behind it
        "0a016b 1203 180118",
        "0a016b 1202 1880",
        "0a016b 1201 18",
        "0a016b 120a 18808080808080808000",
        "0a016b 120b 1880808080808080808001",
        "0a016b 120c 188080808080808080808001",
        "0a016b 1203 0a0176",
        "0a016b 1204 0a017677",
        "0a016b 1203 0a0276",
        "0a016b 1205 0a01760a00",  # two values: the last one stands
        "0a016b 1200",
        "0a016b",
        "1203 0a0176 0a016b",  # the value first
        "0a016b 0a016c 1200",
        "0a016b 1203 0a0100",
        "0a016b 1203 0a01ff",
        "0a01ff 1203 0a0176",
        "0a0124 1203 0a0176",
        "0a0122 1203 0a0122",
        "0a8100 1203 0a0176",
        "0a016b 1203 0a0176 1805",  # key_strindex: profiles only
    ],
)
def test_unusual_encodings(data: str) -> None:
    _same_as_slow(bytes.fromhex(data))


@given(otlp_strategies.key_values.map(lambda pair: pair.SerializeToString()) | st.binary(max_size=12), st.data())
@_SETTINGS
def test_damaged_bytes_are_read_alike(raw: bytes, data: st.DataObject) -> None:
    _same_as_slow(raw)
    if raw:
        at = data.draw(st.integers(0, len(raw) - 1))
        _same_as_slow(raw[:at] + bytes([data.draw(st.integers(0, 255))]) + raw[at + 1 :])
        _same_as_slow(raw[:at])


_SIMPLE = st.builds(
    lambda key, value: KeyValue(key=key, value=value).SerializeToString(),
    st.text('ab$._-/:"\\é', max_size=3).map(str.encode),
    st.builds(AnyValue, string_value=st.text(max_size=4).map(str.encode))
    | st.builds(AnyValue, int_value=otlp_strategies.int64),
)


@given(_SIMPLE)
@_SETTINGS
def test_short_texts_and_ints_are_read_alike(raw: bytes) -> None:
    _same_as_slow(raw)


@pytest.mark.parametrize(
    "text",
    ["0123456789abcdef" * 2, "0123456789ABCDEF" * 2, "0" * 31, "0" * 33, "z" * 32, '"' * 32, "\\" * 32, "é" * 16],
)
def test_uids_of_records_are_read_alike(text: str) -> None:
    raw = otlp_raw.attribute("log.record.uid", text).SerializeToString()
    _same_as_slow(raw)
    for behind in (b"\x18\x05", b"0"):
        _same_as_slow(raw + behind)
        _same_as_slow(raw[: -len(behind)])
        _same_as_slow(raw[: -len(behind)] + behind)

"""Headers and answers of gRPC over HTTP/2, without a connection."""

import base64
import gzip

import pytest

from otelgres.exporters.grpc.messages import (
    RESPONSE_BYTES,
    Answer,
    CallError,
    Reply,
    framed,
    timeout_field,
)
from otelgres.exporters.grpc.metadata import is_sendable, metadata


def reply(*parts: bytes, **fields: str) -> Reply:
    answer = Answer()
    answer.add_headers([(b":status", b"200"), (b"content-type", b"application/grpc")])
    for part in parts:
        answer.add_data(part)
    answer.add_headers([(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()])
    return answer.reply()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "a"),
        ("a b", "a"),
        ("token", "a\r\nb: c"),
        ("token", "é"),
        ("token", "\x7f"),
        (":path", "/"),
        ("te", "gzip"),
        ("connection", "close"),
        ("content-type", "text/plain"),
        ("grpc-timeout", "1S"),
    ],
)
def test_a_header_that_cannot_be_sent_is_named_without_its_value(name: str, value: str) -> None:
    assert not is_sendable(name, value)
    with pytest.raises(ValueError, match=f"^header {name!r} has a name or value that gRPC cannot send: remove it$"):
        metadata({"good": "1", name: value})


def test_metadata_is_lower_case_and_bytes_are_base64() -> None:
    assert metadata({"A-B": " c ", "d-bin": "é", "empty": ""}) == [
        (b"a-b", b"c"),
        (b"d-bin", base64.b64encode("é".encode()).rstrip(b"=")),
        (b"empty", b""),
    ]


@pytest.mark.parametrize(
    ("seconds", "field"),
    [
        (10, b"10000m"),
        (0.0001, b"1m"),
        (-1, b"1m"),
        (99_999, b"99999000m"),
        (100_000, b"100000S"),
        (1e12, b"99999999S"),
    ],
)
def test_a_timeout_has_eight_digits_at_most(seconds: float, field: bytes) -> None:
    assert timeout_field(seconds) == field


def test_a_message_has_a_flag_and_a_length() -> None:
    assert framed(b"abc", compress=False) == b"\0\0\0\0\3abc"
    compressed = framed(b"abc", compress=True)
    assert compressed[0] == 1
    assert int.from_bytes(compressed[1:5], "big") == len(compressed) - 5
    assert gzip.decompress(compressed[5:]) == b"abc"


@pytest.mark.parametrize(
    ("status", "code"),
    [("0", "OK"), ("16", "UNAUTHENTICATED"), *((text, "UNKNOWN") for text in ("17", "-1", "x", "", "1" * 5000))],
)
def test_codes_have_names(status: str, code: str) -> None:
    assert reply(grpc_status=status).code == code


def test_texts_are_percent_decoded() -> None:
    assert reply(grpc_status="14", grpc_message="100%25 %C3%A9 %zz %FF").details == "100% é %zz \ufffd"


@pytest.mark.parametrize(
    ("text", "value"), [("AAE", b"\0\1"), ("AAE=", b"\0\1"), ("AAE, AAI", b"\0\1"), ("", b""), ("A", b""), ("é", b"")]
)
def test_binary_trailers_are_decoded_with_and_without_padding(text: str, value: bytes) -> None:
    assert reply(grpc_status="14", a_bin=text).trailers["a-bin"] == value


def test_a_compressed_response_is_bounded() -> None:
    assert reply(framed(b"abc", compress=True), grpc_status="0", grpc_encoding="gzip").body == b"abc"
    bomb = framed(bytes(RESPONSE_BYTES * 20), compress=True)
    assert reply(bomb, grpc_status="0", grpc_encoding="gzip").body == b""
    answer = Answer()
    with pytest.raises(CallError, match="larger than"):
        answer.add_data(bytes(RESPONSE_BYTES + 6))


@pytest.mark.parametrize("part", [b"\1\0\0\0\3abc", b"\1", b"\0\0", b"\0\0\0\0\0", b"\1\0\0\0\0", b"\7\0\0\0\1a"])
def test_the_status_counts_if_the_message_cannot_be_read(part: bytes) -> None:
    assert reply(part, grpc_status="0", grpc_encoding="gzip") == Reply(
        "OK", "", {":status": "200", "content-type": "application/grpc", "grpc-status": "0", "grpc-encoding": "gzip"}
    )


def test_an_answer_without_a_status_is_unknown() -> None:
    assert reply() == Reply("UNAVAILABLE", "an answer without grpc-status")

"""Random answers, of bytes and of frames: each call of the gRPC client ends in time, with a reply and no exception."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from otelgres.exporters.batch import Batch, Signal
from otelgres.exporters.grpc.messages import Reply
from otelgres.exporters.otlp import OtlpExporter
from otelgres.exporters.outcome import Accepted, Invalid, Overloaded, TooLarge, Unavailable
from otelgres.exporters.target import Target
from tests.acceptance.http2_by_hand import frame
from tests.library.grpc_servers import GRPC, answer, block, client, headers, settings

TIMEOUT = 5.0
FIELDS = st.dictionaries(
    st.sampled_from([":status", "content-type", "grpc-status", "grpc-message", "grpc-encoding", "x", "X", "a-bin",
                     "grpc-status-details-bin", "google.rpc.retryinfo-bin", ":path", "content-length", ""]),
    st.one_of(st.sampled_from(["200", "0", "8", "14", "99", "application/grpc", "gzip", "%zz%41", "=", "CgIIBw"]),
              st.text(alphabet=st.characters(max_codepoint=255), max_size=20)),
)  # fmt: skip
PAYLOADS = st.one_of(
    st.binary(max_size=40), FIELDS.map(block), st.just(block(GRPC)), st.just(b"\0\0\0\0\0"), st.just(b"\1\0\0\0\3abc")
)
FRAMES = st.one_of(
    st.builds(frame, st.integers(0, 12), st.integers(0, 255), st.sampled_from([0, 1, 1, 1, 2, 3, 2**31]), PAYLOADS),
    st.builds(headers, st.just(1), FIELDS, end=st.booleans()),
    st.builds(frame, st.just(0), st.sampled_from([0, 1]), st.just(1), PAYLOADS),
    st.builds(settings, st.dictionaries(st.integers(0, 8), st.integers(0, 2**32 - 1), max_size=3)),
    st.builds(answer, st.just(1), st.binary(max_size=10), st.integers(0, 20)),
)
ANSWERS = st.one_of(
    st.binary(max_size=200), st.lists(FRAMES, max_size=6).map(lambda frames: settings({}) + b"".join(frames))
)


class Babbler:
    """Sends ``answer`` on each connection, and then no more."""

    def __init__(self) -> None:
        self.answer = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with sock, contextlib.suppress(OSError):
                sock.recv(65536)
                sock.sendall(self.answer)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass


@pytest.fixture(scope="module")
def babbler() -> Iterator[Babbler]:
    made = Babbler()
    yield made
    made.close()


@hypothesis_settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(answers=st.lists(ANSWERS, min_size=1, max_size=2))
def test_every_call_ends_in_time_with_a_reply(babbler: Babbler, answers: list[bytes]) -> None:
    one = client(babbler.port)
    for babbler.answer in answers:
        began = time.monotonic()
        assert isinstance(one.unary("/a/b", b"x" * 100, TIMEOUT), Reply)
        assert time.monotonic() - began < TIMEOUT + 5
    one.close()


@hypothesis_settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(given_answer=ANSWERS)
def test_every_answer_has_an_outcome(babbler: Babbler, given_answer: bytes) -> None:
    babbler.answer = given_answer
    endpoint = f"http://127.0.0.1:{babbler.port}"
    target = Target("grpc", endpoint, insecure=True, loopback=True, headers={}, timeout=TIMEOUT, compression="gzip")
    exporter = OtlpExporter({Signal.LOGS: target})
    (outcome,) = exporter.write([Batch(Signal.LOGS, b"x" * 100)])
    exporter.close()
    assert isinstance(outcome, Accepted | Invalid | TooLarge | Overloaded | Unavailable)
    # The message begins with a status code; an exception would be shown by its name.
    assert isinstance(outcome, Accepted) or re.match("[A-Z_]+:", outcome.message)

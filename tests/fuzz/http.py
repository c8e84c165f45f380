"""Fuzzed bytes on a real socket: ``python -m tests.fuzz.http [INPUTS]``. Whatever comes in, no answer is a 500.

Each input is a connection of its own, which the receiver answers or closes; the other half is closed here.
"""

import random
import re
import socket
import sys
from collections import Counter

from tests.acceptance.http_client import serving
from tests.acceptance.stub_queue import LoopThread, StubQueue
from tests.fuzz import corpus, mutate

_SECONDS = 5.0
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_ANSWERS = {0, 100, 200, 204, 400, 401, 403, 404, 405, 408, 411, 413, 414, 415, 417, 421, 426, 429, 431, 501, 503, 505}


def fuzz_http(inputs: int, seed: int) -> Counter[int]:
    """How often each status was answered; 0: none was. Raises AssertionError with the input."""
    rng = random.Random(seed)
    answered: Counter[int] = Counter()
    loop = LoopThread()
    try:
        with serving(loop, StubQueue()) as port:
            for _ in range(inputs):
                data = mutate.lines(rng.choice(corpus.HTTP), corpus.HTTP, rng)
                for status in _exchange(port, data):
                    assert status in _ANSWERS, f"{status}: {data.hex()}"
                    answered[status] += 1
            # It still serves.
            assert 200 in _exchange(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    finally:
        loop.close()
    return answered


def _exchange(port: int, data: bytes) -> list[int]:
    with socket.create_connection(("127.0.0.1", port), _SECONDS) as connection:
        received = b""
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                received += piece
        except ConnectionError:
            pass
        except TimeoutError:
            raise AssertionError(f"neither answered nor closed: {data.hex()}") from None
    return [int(status) for status in _STATUS.findall(received)] or [0]


if __name__ == "__main__":
    print(dict(fuzz_http(int(sys.argv[1]) if len(sys.argv) > 1 else 20000, 1)))

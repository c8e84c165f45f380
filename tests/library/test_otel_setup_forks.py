"""Children that are forked at any moment of an export log and end, whatever the collector does."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.library.otlp_receiver import run_app, unused_port

CHILDREN = 50
# Each export connects again: the circuit breaker would let the parent rest. While a child is forked, the parent's
# threads are anywhere in an export.
FORKS = """
import logging, os, random, select, sys, threading, time
from otel_setup import checkpoint, configure_telemetry, shutdown_telemetry
from otel_setup.export.circuit_breaker import CircuitBreaker
CircuitBreaker.record = lambda self, outcome: None
configure_telemetry("forks", endpoint=sys.argv[1], protocol=sys.argv[2], timeout=0.05, fallback="none")
log = logging.getLogger("app")
def work():
    while True:
        log.warning("parent"); checkpoint("PARENT"); time.sleep(0.001)
threading.Thread(target=work, daemon=True).start()
children = []
# Open for writing in each child until it ends.
ends, open_in_children = os.pipe()
for number in range(int(sys.argv[3])):
    child = os.fork()
    if not child:
        log.warning("child"); checkpoint("CHILD"); shutdown_telemetry(0.3); os._exit(0)
    children.append(child)
    time.sleep(random.random() / 50)
os.close(open_in_children)
if not select.select([ends], [], [], 40)[0]:
    for child in children: os.kill(child, 9)
hang = sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0 for child in children)
print(hang, "hang")
"""


@contextmanager
def refusing() -> Iterator[int]:
    yield unused_port()


@contextmanager
def silent() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize(("protocol", "collector"), [("grpc", refusing), ("grpc", silent), ("http/protobuf", refusing)])
def test_no_child_hangs(protocol: str, collector: Callable[[], Any]) -> None:
    with collector() as port:
        done = run_app(FORKS, f"http://127.0.0.1:{port}", protocol, CHILDREN, OTEL_BSP_SCHEDULE_DELAY="5",
                       OTEL_BLRP_SCHEDULE_DELAY="5")  # fmt: skip
    assert done.stdout == "0 hang\n"

"""The ends of real processes: exit, SIGTERM, fork, multiprocessing, and a collector that is not there."""

import collections
import os
import signal
import socket

import pytest

import otel_setup
from tests.library.otlp_receiver import DEADLINE, Receiver, app, attributes, run_app, unused_port

# Nothing leaves before the end: what arrives is what the end of the process flushed.
LATE = {"OTEL_BLRP_SCHEDULE_DELAY": "600000", "OTEL_BSP_SCHEDULE_DELAY": "600000"}
FORKS_HERE = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
PROTOCOLS = pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])

START = """
import logging, multiprocessing, os, signal, sys, threading, time
from opentelemetry import metrics, trace
from otel_setup import checkpoint, configure_telemetry, flow, phase, shutdown_telemetry
log = logging.getLogger("app")
def everything(tag, count=1):
    log.info("log %s", tag)
    checkpoint("span " + tag)
    metrics.get_meter("app").create_counter("sales").add(count)
telemetry = configure_telemetry("lifecycle", endpoint=sys.argv[1], protocol=sys.argv[2])
"""


def endpoint(receiver: Receiver, protocol: str) -> str:
    return receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint


def sums(receiver: Receiver) -> dict[str, list[int]]:
    """Values of the counter by service.instance.id, in the order of arrival."""
    found: dict[str, list[int]] = collections.defaultdict(list)
    for resource, group in receiver.resources("metrics"):
        for scope in group.scope_metrics:
            for metric in scope.metrics:
                found[resource["service.instance.id"]] += [point.as_int for point in metric.sum.data_points]
    return found


def assert_delivered_once(receiver: Receiver, *tags: str) -> None:
    assert sorted(receiver.bodies()) == sorted(f"log {tag}" for tag in tags)
    assert sorted(span.name for span in receiver.spans()) == sorted(f"span {tag}" for tag in tags)
    uids = [attributes(log)["log.record.uid"] for log in receiver.all_logs()]
    assert len(uids) == len(set(uids))


@pytest.mark.parametrize("end", ["sys.exit(3)", "raise RuntimeError('boom')", "shutdown_telemetry(); os._exit(0)"])
def test_everything_is_flushed_at_the_end(end: str) -> None:
    with Receiver() as receiver:
        with app(START + f"everything('a')\n{end}", receiver.grpc_endpoint, "grpc", **LATE) as process:
            process.communicate(timeout=DEADLINE)

        assert_delivered_once(receiver, "a")
        assert list(sums(receiver).values()) == [[1]]


SIGTERM = "everything('a')\nprint('ready', flush=True)\n" + "signal.pause()\n"


def test_sigterm_flushes_and_still_kills() -> None:
    with (
        Receiver() as receiver,
        app(START + SIGTERM, receiver.http_endpoint, "http/protobuf", **LATE) as process,
    ):
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        process.wait(DEADLINE)

        assert process.returncode == -signal.SIGTERM
        assert_delivered_once(receiver, "a")


def test_sigterm_in_the_middle_of_the_flush_at_exit_lets_it_finish() -> None:
    slow = START.replace("sys.argv[2])", "sys.argv[2], shutdown_timeout=20)") + "everything('a')"
    with Receiver() as receiver:
        receiver.hold()
        with app(slow, receiver.grpc_endpoint, "grpc", **LATE) as process:
            receiver.wait(lambda: receiver.held > 0)
            process.terminate()
            receiver.release()
            process.wait(DEADLINE)

        assert process.returncode == -signal.SIGTERM
        assert_delivered_once(receiver, "a")


ENDS_WITHIN_AN_END = """
import itertools
def end_again_before(number):
    steps = itertools.count()
    def trace_steps(frame, event, argument):
        if not frame.f_code.co_filename.endswith("shutdown.py"):
            return None
        if event == "line" and next(steps) == number:
            sys.settrace(None)
            telemetry.shutdown()
            os._exit(0)
        return trace_steps
    sys.settrace(trace_steps)
    telemetry.shutdown()
    os._exit(1)
number = 0
while True:
    if not os.fork():
        everything(str(number))
        end_again_before(number)
    if os.waitstatus_to_exitcode(os.wait()[1]):
        break
    number += 1
print(number)
"""


@FORKS_HERE
def test_a_second_end_at_any_step_of_the_first_waits_for_it() -> None:
    """As when a signal handler ends the process while its main thread is at the end already."""
    with Receiver() as receiver:
        done = run_app(START + ENDS_WITHIN_AN_END, receiver.grpc_endpoint, "grpc", **LATE)

        steps = int(done.stdout)
        assert steps > 8
        # The last one ended once, after all steps.
        assert_delivered_once(receiver, *(str(number) for number in range(steps + 1)))


OWN_HANDLER = """
import signal, sys
def handler(signum, frame):
    print("mine", signum, flush=True)
    {end}
signal.signal(signal.SIGTERM, handler)
"""


def test_an_own_sigterm_handler_is_called_and_decides() -> None:
    source = OWN_HANDLER.format(end="sys.exit(5)") + START + SIGTERM
    with Receiver() as receiver, app(source, receiver.grpc_endpoint, "grpc", **LATE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()

        assert process.communicate(timeout=DEADLINE)[0] == "mine 15\n"
        assert process.returncode == 5
        assert_delivered_once(receiver, "a")


# As in the event loop of gevent, or at the limit of threads.
NO_THREADS = """
def start(thread):
    raise AssertionError("Impossible to call blocking function in the event loop callback")
threading.Thread.start = start
"""


def test_an_own_sigterm_handler_is_called_where_no_thread_can_be_started() -> None:
    source = OWN_HANDLER.format(end="os._exit(5)") + START + NO_THREADS + SIGTERM
    with Receiver() as receiver, app(source, receiver.grpc_endpoint, "grpc", **LATE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()

        assert process.communicate(timeout=DEADLINE) == ("mine 15\n", "")
        assert process.returncode == 5


def test_signal_handlers_can_be_left_alone_and_threads_do_not_touch_them() -> None:
    source = """
import signal, sys, threading
from otel_setup import configure_telemetry
def off(): configure_telemetry(endpoint=sys.argv[1], install_signal_handlers=sys.argv[2] == "thread")
if sys.argv[2] == "thread":
    thread = threading.Thread(target=off); thread.start(); thread.join()
else:
    off()
print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
"""
    with Receiver() as receiver:
        assert run_app(source, receiver.grpc_endpoint, "off").stdout == "True\n"
        assert run_app(source, receiver.grpc_endpoint, "thread").stdout == "True\n"


FORK = """
everything("before", 10)
telemetry.force_flush()
everything("queued in the parent", 0)
child = os.fork()
if not child:
    everything("child")
    sys.exit(0)
os.waitpid(child, 0)
child = os.fork()
if not child:
    everything("killed child")
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()
assert os.waitpid(child, 0)[1] == signal.SIGTERM
everything("after", 2)
"""


@PROTOCOLS
def test_a_forked_child_reports_its_own_liveness_and_repeats_nothing(protocol: str) -> None:
    with Receiver() as receiver:
        run_app(START + FORK, endpoint(receiver, protocol), protocol, **LATE)

        assert_delivered_once(receiver, "before", "queued in the parent", "child", "killed child", "after")
        # Cumulative totals by process: 10, then 12, in the parent; one in each child, which does not inherit the ten.
        assert sorted(values[-1] for values in sums(receiver).values()) == [1, 1, 12]
        pids = {
            body.string_value: (resource["process.pid"], resource["service.instance.id"])
            for resource, group in receiver.resources("logs")
            for scope in group.scope_logs
            for body in [log.body for log in scope.log_records]
        }
        assert len(set(pids.values())) == 3
        assert pids["log before"] == pids["log after"]
        assert len({pid for pid, _ in pids.values()}) == 3


FORK_IN_FLOW = """
with flow("order") as order:
    child = os.fork()
    with phase("in child" if not child else "in parent"):
        pass
    if child:
        os.waitpid(child, 0)
"""


def test_a_fork_inside_a_flow_continues_it_and_ends_it_once() -> None:
    with Receiver() as receiver:
        run_app(START + FORK_IN_FLOW, receiver.grpc_endpoint, "grpc", **LATE)

        order = receiver.span("order")
        assert receiver.span("in child").parent_span_id == order.span_id
        assert receiver.span("in parent").parent_span_id == order.span_id
        assert len(receiver.starts()) == 3


MULTIPROCESSING = """
import concurrent.futures
context = multiprocessing.get_context("fork")
everything("parent", 10)
telemetry.force_flush()
process = context.Process(target=everything, args=("child",))
process.start(); process.join()
with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
    pool.submit(everything, "pool").result()
"""


def test_multiprocessing_children_flush_too() -> None:
    with Receiver() as receiver:
        run_app(START + MULTIPROCESSING, receiver.grpc_endpoint, "grpc", **LATE)

        assert_delivered_once(receiver, "parent", "child", "pool")
        assert sorted(values[-1] for values in sums(receiver).values()) == [1, 1, 10]


BUSY_FORKS = """
stop = threading.Event()
def spam():
    while not stop.wait(0.0005):
        log.info("log spam")
threading.Thread(target=spam, daemon=True).start()
telemetry.force_flush()
children = []
for number in range(12):
    child = os.fork()
    if not child:
        log.info("log child %d", number)
        os._exit(0 if shutdown_telemetry(20) else 9)
    children.append(child)
print([os.waitpid(child, 0)[1] for child in children])
stop.set()
"""


@PROTOCOLS
def test_forking_while_exports_run_loses_nothing_of_the_children(protocol: str) -> None:
    with Receiver() as receiver:
        done = run_app(START + BUSY_FORKS, endpoint(receiver, protocol), protocol, OTEL_BLRP_SCHEDULE_DELAY="5")

        assert done.stdout == f"{[0] * 12}\n"
        assert sorted(body for body in receiver.bodies() if body != "log spam") == sorted(
            f"log child {number}" for number in range(12)
        )


AWAY = """
everything("a")
for number in range(3000): log.info("x %d", number)
began = time.monotonic()
shutdown_telemetry(float(sys.argv[3]))
print(time.monotonic() - began)
began = time.monotonic()
shutdown_telemetry()
assert time.monotonic() - began < 10
log.warning("still alive")
checkpoint("too late")
"""


@PROTOCOLS
def test_an_unreachable_collector_delays_shutdown_by_at_most_the_deadline_and_logs_one_line(protocol: str) -> None:
    port = unused_port()

    done = run_app(START + AWAY, f"http://127.0.0.1:{port}", protocol, 1.0)

    # The promise is one second; the margin is for a machine that is busy with other things.
    assert float(done.stdout) < 20
    # The SDK's own word on a full queue comes or not, and anywhere, as the machine is fast or slow.
    lines = [line for line in done.stderr.splitlines() if line != "Queue full, dropping Log."]
    assert lines.count("still alive") == 1
    (warning,) = (line for line in lines if line != "still alive")
    assert f"cannot export telemetry to http://127.0.0.1:{port}" in warning
    assert "refused" in warning


def test_a_collector_that_never_answers_delays_shutdown_by_at_most_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for protocol in ("grpc", "http/protobuf"):
            done = run_app(START + AWAY, f"http://127.0.0.1:{port}", protocol, 0.5)
            assert float(done.stdout) < 20


RECOVERY = """
everything("lost")
telemetry.force_flush()
print("failed", flush=True)
sys.stdin.readline()
everything("kept")
telemetry.force_flush()
"""


def test_recovery_of_a_collector_is_logged() -> None:
    # The timeout is also the time that the exit has to send what is in the spool; the rest would stay there.
    with Receiver() as receiver:
        receiver.refuse = True
        with app(
            START.replace("sys.argv[2])", "sys.argv[2], timeout=10)") + RECOVERY,
            receiver.grpc_endpoint,
            "grpc",
            **LATE,
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            assert receiver.refused
            receiver.refuse = False
            _, err = process.communicate("\n", timeout=DEADLINE)

        assert "span kept" in [span.name for span in receiver.spans()]
        assert "log kept" in receiver.bodies()
        assert [("cannot export telemetry" in line) for line in err.splitlines()] == [True], err


def test_the_surface_is_what_it_says() -> None:
    assert otel_setup.__all__ == [
        "checkpoint",
        "configure_telemetry",
        "context_attributes",
        "current_flow_id",
        "expected_checkpoints",
        "extract",
        "flow",
        "inject",
        "phase",
        "record_event",
        "shutdown_telemetry",
    ]
    assert all(callable(getattr(otel_setup, name)) for name in otel_setup.__all__)


def test_imports_of_an_application_stay_light() -> None:
    loaded = "[name for name in ('opentelemetry.sdk', 'grpc', 'requests') if name in sys.modules]"
    assert run_app(f"import sys, otel_setup; print({loaded})").stdout == "[]\n"

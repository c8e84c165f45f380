"""Work in flight, by real processes: one that hangs, one that is killed, one that forks, one that ends in order."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from otelgres.collector.embedded import Cluster
from tests.acceptance.receiver_process import Serving, environment, invoke, served
from tests.waiting import TIMEOUT, until

EVERY = "0.5"
HANGING = """
import sys
from otel_setup import configure_telemetry, flow, phase
configure_telemetry(service_name=sys.argv[1])
with flow(sys.argv[1] + " flow"), phase("waiting"):
    print("open", flush=True)
    sys.stdin.readline()
"""
IN_FLIGHT = (
    "SELECT * FROM otel.in_flight WHERE start_time > now() - interval '1 hour' AND service_name = %s ORDER BY type"
)


@pytest.fixture(scope="module")
def receiver(cluster: Cluster, migrated: str) -> Iterator[Serving]:
    with served(cluster, migrated) as receiver:
        yield receiver


class Application:
    """A process with a flow and a phase open, until its stdin says more. Killed when the block ends."""

    def __init__(self, receiver: Serving, service: str, source: str = HANGING, every: str = EVERY) -> None:
        self.receiver = receiver
        self.service = service
        self.process = subprocess.Popen(
            [sys.executable, "-c", source, service],
            env=environment(
                OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{receiver.grpc}", OTELGRES_TELEMETRY_REPORT_INTERVAL=every
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "open\n"

    def __enter__(self) -> "Application":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate(timeout=TIMEOUT)

    def in_flight(self) -> list[dict[str, Any]]:
        return self.receiver.rows(IN_FLIGHT, self.service)

    def in_state(self, state: str) -> list[dict[str, Any]]:
        """Its rows, once there are two in this state."""

        def look() -> list[dict[str, Any]]:
            found = self.in_flight()
            return found if [row["state"] for row in found] == [state] * 2 else []

        return until(look, f"{self.service} to be {state}")


def test_hanging_work_is_running_and_keeps_reporting(receiver: Serving) -> None:
    with Application(receiver, "hanging") as application:
        flow, phase = application.in_state("running")
        assert (flow["type"], flow["name"], phase["type"], phase["name"]) == (
            "flow",
            "hanging flow",
            "phase",
            "waiting",
        )
        assert phase["parent_span_id"] == flow["span_id"]
        assert phase["flow_name"] == "hanging flow"
        assert phase["pid"] == application.process.pid
        assert phase["host_name"]
        assert phase["reason"] is None
        assert phase["last_activity"] is None
        assert phase["report_interval"].total_seconds() == float(EVERY)
        # More than four intervals later it still is what it was.
        until(
            lambda: application.in_flight()[0]["last_seen"] > flow["last_seen"] + 5 * flow["report_interval"],
            "five liveness records",
        )
        later = application.in_state("running")
        assert later[0]["running"] > 5 * flow["report_interval"]
        (row, *_) = receiver.rows("SELECT * FROM otel.process_liveness WHERE service_name = 'hanging' ORDER BY time")
        assert (row["event"], row["open_work"], row["pid"]) == ("alive", 2, application.process.pid)
        # Liveness records are not in the view of logs.
        assert receiver.rows("SELECT * FROM otel.logs WHERE service_name = 'hanging'") == []

        application.process.communicate("\n", timeout=TIMEOUT)
        until(lambda: not application.in_flight(), "what has ended to be gone")
        rows = receiver.rows("SELECT * FROM otel.process_liveness WHERE service_name = 'hanging' ORDER BY time")
        assert [row["event"] for row in rows].count("end") == 1
        assert [row["open_work"] for row in rows if row["event"] == "end"] == [0]


def test_what_is_killed_is_abandoned(receiver: Serving) -> None:
    with Application(receiver, "killed") as application:
        application.in_state("running")
        os.kill(application.process.pid, signal.SIGKILL)
        flow, phase = application.in_state("abandoned")
        assert "no report for" in phase["reason"]
        shown = invoke("monitor", OTELGRES_DSN=receiver.dsn).stdout
        (line,) = (line for line in shown.splitlines() if line.startswith("flow killed flow"))
        assert line.endswith("abandoned")
        drawn = invoke("flow", str(flow["flow_id"]), OTELGRES_DSN=receiver.dsn).stdout
        assert "open: phase waiting in killed, began " in drawn
        assert "has not ended: abandoned, no report for" in drawn
        receiver.rows("SELECT 1 FROM otel.alert_stalled_work()")


def test_a_process_that_stops_is_silent_before_it_is_abandoned_and_comes_back(receiver: Serving) -> None:
    with Application(receiver, "stopped") as application:
        application.in_state("running")
        application.process.send_signal(signal.SIGSTOP)
        (row, _) = application.in_state("silent")
        assert "expected every" in row["reason"]
        application.in_state("abandoned")
        application.process.send_signal(signal.SIGCONT)
        application.in_state("running")


LEFT_OPEN = """
import sys, threading
from otel_setup import configure_telemetry, flow, phase
configure_telemetry(service_name=sys.argv[1])
begun = threading.Event()

def work():
    with flow("left"), phase("waiting"):
        begun.set()
        threading.Event().wait()

threading.Thread(target=work, daemon=True).start()
begun.wait()
print("open", flush=True)
sys.stdin.readline()
"""


def test_what_is_open_when_its_process_ends_in_order_is_abandoned_at_once(receiver: Serving) -> None:
    with Application(receiver, "left open", LEFT_OPEN, every="600") as application:
        application.in_state("running")
        application.process.communicate("\n", timeout=TIMEOUT)
        (row, _) = application.in_state("abandoned")
        assert row["reason"].startswith("its process ended at ")


FORKING = """
import os, sys, threading
from otel_setup import configure_telemetry, flow, phase
configure_telemetry(service_name=sys.argv[1])
with flow("of the parent"):
    assert "otelgres-alive" in {thread.name for thread in threading.enumerate()}
    child = os.fork()
    if child == 0:
        with flow("of the child"):
            sys.stdin.readline()
        sys.exit(0)
    print("open", flush=True)
    os.waitpid(child, 0)
    sys.stdin.readline()
"""


def test_a_forked_child_is_tracked_separately(receiver: Serving) -> None:
    with Application(receiver, "forking", FORKING) as application:
        rows = {row["name"]: row for row in application.in_state("running")}
        parent, child = rows["of the parent"], rows["of the child"]
        assert parent["pid"] == application.process.pid != child["pid"]
        assert parent["instance_id"] != child["instance_id"]

        def both_live() -> bool:
            # By liveness records of their own: the start alone would have been too long ago.
            found = application.in_flight()
            return all(row["last_seen"] - row["start_time"] > 5 * row["report_interval"] for row in found)

        until(both_live, "five liveness records of each")
        assert {row["state"] for row in application.in_flight()} == {"running"}
        os.kill(int(child["pid"]), signal.SIGKILL)

        def child_abandoned() -> bool:
            states = {row["name"]: row["state"] for row in application.in_flight()}
            return states == {"of the parent": "running", "of the child": "abandoned"}

        until(child_abandoned, "the child's work to be abandoned, and the parent's not")


SLEEPING = """
import sys, threading
from otel_setup import configure_telemetry, flow
configure_telemetry(service_name=sys.argv[1], in_flight=sys.argv[2] == "1", report_interval=0.05)
assert "otelgres-alive" not in {thread.name for thread in threading.enumerate()}
if sys.argv[2] == "0":
    with flow("unseen"):
        assert "otelgres-alive" not in {thread.name for thread in threading.enumerate()}
assert "otelgres-alive" not in {thread.name for thread in threading.enumerate()}
"""


@pytest.mark.parametrize("in_flight", ["0", "1"])
def test_without_work_or_without_in_flight_no_liveness_is_sent(receiver: Serving, in_flight: str) -> None:
    service = f"quiet {in_flight}"
    done = subprocess.run(
        [sys.executable, "-c", SLEEPING, service, in_flight],
        env=environment(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{receiver.grpc}"),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert receiver.rows("SELECT * FROM otel.process_liveness WHERE service_name = %s", service) == []
    assert receiver.rows("SELECT * FROM otel.span_starts WHERE service_name = %s", service) == []

"""``otelgres flow``: a real flow drawn, with what it logged, what failed, what is open and what is missing."""

import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import psycopg
import pytest

from otelgres.collector.embedded import Cluster
from tests.acceptance.receiver_process import Serving, environment, invoke, served
from tests.waiting import TIMEOUT, until

FLOW = uuid.UUID("01890a5d-ac96-774b-bcce-b302099a8057")
HUNG = uuid.UUID("01890a5d-ac96-774b-bcce-b302099a8058")
ELSEWHERE = uuid.UUID("01890a5d-ac96-774b-bcce-b302099a8059")
APPLICATION = f"""
import logging, sys, threading, uuid
from otel_setup import checkpoint, configure_telemetry, flow, phase
configure_telemetry(service_name="orders")
log = logging.getLogger("orders")
checkpoint("SEEN", flow_id="{ELSEWHERE}")
try:
    with flow("order", flow_id=uuid.UUID("{FLOW}")):
        with phase("validate"):
            log.info("looks \\x1b[31m good")
            threading.Event().wait(0.02)
        checkpoint("ACCEPTED")
        with phase("charge"):
            log.error("no money")
            raise ValueError("declined")
except ValueError:
    pass
with flow("order", flow_id=uuid.UUID("{HUNG}")):
    with phase("validate"):
        pass
    with phase("wait for stock"):
        print("waiting", flush=True)
        sys.stdin.read()
"""


@pytest.fixture(scope="module")
def receiver(cluster: Cluster, migrated: str) -> Iterator[Serving]:
    with served(cluster, migrated) as receiver:
        application = subprocess.Popen(
            [sys.executable, "-c", APPLICATION],
            env=environment(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{receiver.grpc}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert application.stdout is not None
            assert application.stdout.readline() == b"waiting\n"
            query = "SELECT 1 FROM otel.span_starts WHERE open AND name = 'wait for stock'"
            until(lambda: receiver.rows(query), "the start of what hangs")
            until(lambda: receiver.rows("SELECT 1 FROM otel.flows WHERE complete"), "the flow that ended")
            query = f"SELECT 1 FROM otel.flows WHERE flow_id = '{ELSEWHERE}'"
            until(lambda: receiver.rows(query), "the checkpoint alone")
        finally:
            os.kill(application.pid, signal.SIGKILL)
            application.communicate(timeout=TIMEOUT)
        with psycopg.connect(receiver.dsn) as connection:
            connection.execute(
                "INSERT INTO otel.flow_expectations VALUES ('order', '{ACCEPTED,SHIPPED}', %s)",
                [json.dumps({"SHIPPED": "the warehouse is closed"})],
            )
        yield receiver


def draw(receiver: Serving, *arguments: str) -> str:
    done = invoke("flow", *arguments, OTELGRES_DSN=receiver.dsn)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_flow_with_everything_in_its_place(receiver: Serving) -> None:
    text = draw(receiver, str(FLOW))
    lines = text.splitlines()
    assert lines[0] == f"flow {FLOW}"
    assert "complete, error" in lines[1]
    assert lines[2] == "checkpoints: ACCEPTED"
    order = [next(n for n, line in enumerate(lines) if word in line) for word in (
        "! order ", "  validate ", "looks", "  ACCEPTED", "  ! charge ", "ValueError: d", "no money")]  # fmt: skip
    assert order == sorted(order)
    validate = lines[order[1]]
    assert "█" in validate
    assert float(validate.split()[-2]) >= 20
    assert "◆" in lines[order[3]]
    assert "\x1b" not in text
    assert "missing checkpoints: SHIPPED (the warehouse is closed)" in text
    assert all(len(line) <= 140 for line in lines)
    # The flow let it pass and says it as well, which is nothing new.
    assert text.count("ValueError: declined") == 1
    assert draw(receiver, FLOW.hex) == text


def test_a_checkpoint_of_a_flow_that_is_elsewhere_misses_nothing(receiver: Serving) -> None:
    text = draw(receiver, str(ELSEWHERE))
    assert "no error  0.000 ms  1 span  " in text
    assert "SEEN  " in text
    assert "its parent is missing" not in text
    assert "did not arrive" not in text


def test_what_hangs_is_open(receiver: Serving) -> None:
    text = draw(receiver, str(HUNG))
    assert "not complete" in text
    assert "open: flow order in orders, began " in text
    assert "open: phase wait for stock in orders, began " in text
    assert "(parent missing)" in text
    assert "missing checkpoints: ACCEPTED, SHIPPED" in text


def test_an_image_has_what_is_printed_and_loads_nothing(receiver: Serving, tmp_path: Path) -> None:
    file = tmp_path / "flow.svg"
    assert draw(receiver, str(FLOW), "--svg", str(file)) == ""
    image = ElementTree.parse(file)
    text = "".join(image.getroot().itertext()).replace("\xa0", " ")
    assert all(word in text for word in (f"otelgres flow {FLOW}", "validate", "ValueError: declined", "◆"))
    assert not re.search(r"url\((?!#)|href=|@font-face|@import", file.read_text(encoding="utf-8"))
    done = invoke("flow", "latest", "--svg", str(tmp_path / "missing" / "x.svg"), OTELGRES_DSN=receiver.dsn)
    assert (done.returncode, done.stderr.count("\n"), "cannot be written" in done.stderr) == (1, 1, True)


def test_for_machines_and_the_latest(receiver: Serving) -> None:
    found = json.loads(draw(receiver, "latest", "--json"))
    assert found["flow_id"] == str(HUNG)
    assert {row["name"] for row in found["open"]} == {"order", "wait for stock"}
    assert found["missing"]["missing"] == ["ACCEPTED", "SHIPPED"]


def test_an_unknown_flow_is_an_error(receiver: Serving) -> None:
    done = invoke("flow", "whatever", OTELGRES_DSN=receiver.dsn)
    assert (done.returncode, "is not a flow id" in done.stderr) == (2, True)
    done = invoke("flow", str(uuid.uuid4()), OTELGRES_DSN=receiver.dsn)
    assert (done.returncode, "there is no flow" in done.stderr) == (1, True)

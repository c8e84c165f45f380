"""What an application expects of its flows, and checkpoints that do not wait for the next batch."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from otelgres.collector.embedded import Cluster
from tests.acceptance.receiver_process import Serving, environment, served
from tests.waiting import TIMEOUT, until

APPLICATION = """
import enum, os, sys
from otel_setup import configure_telemetry, expected_checkpoints, flow, shutdown_telemetry
from otel_setup.integration import DatabaseIntegrationLogger

class Stop(enum.Enum):
    PAID = "PAID"

configure_telemetry(service_name="shop")
expected_checkpoints("PUBLISHED", ["PUBLISHED", "RECEIVED", "DELIVERED"], {"DELIVERED": "no user is connected"})
expected_checkpoints("order", ["ACCEPTED", Stop.PAID])
logger = DatabaseIntegrationLogger("Shop", early_flush=sys.argv[1] == "early")
logger.log_checkpoint("PUBLISHED", "00000000-0000-4000-8000-000000000001")
logger.log_checkpoint("RECEIVED", "00000000-0000-4000-8000-000000000001")
child = os.fork()
if not child:
    logger.log_checkpoint("DELIVERED", "00000000-0000-4000-8000-000000000002")
    sys.stdin.read()
    os._exit(0)
with flow("order"):
    pass
print("expected", flush=True)
sys.stdin.read()
shutdown_telemetry()
os.waitpid(child, 0)
"""
SEEN = "SELECT checkpoint FROM compat.integration_events WHERE flow_id IS NOT NULL ORDER BY 1"


@pytest.fixture
def receiver(cluster: Cluster, migrated: str) -> Iterator[Serving]:
    with served(cluster, migrated) as receiver:
        yield receiver


def start(receiver: Serving, how: str) -> "subprocess.Popen[str]":
    # By the batch nothing would be there for a minute.
    env = environment(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{receiver.grpc}", OTEL_BSP_SCHEDULE_DELAY="60000")
    return subprocess.Popen([sys.executable, "-c", APPLICATION, how], env=env, stdin=-1, stdout=-1, text=True)


def test_checkpoints_are_there_at_once_and_the_missing_one_is_named(receiver: Serving) -> None:
    with start(receiver, "early") as application:
        found = [{"checkpoint": name} for name in ("DELIVERED", "PUBLISHED", "RECEIVED")]
        until(lambda: receiver.rows(SEEN) == found, "the checkpoints of both processes")
        application.communicate("", TIMEOUT)
        assert application.returncode == 0
    expected = receiver.rows("SELECT flow_name, checkpoints, declared_by FROM otel.expected_checkpoints ORDER BY 1")
    assert expected == [
        {"flow_name": "PUBLISHED", "checkpoints": ["PUBLISHED", "RECEIVED", "DELIVERED"], "declared_by": "shop"},
        {"flow_name": "order", "checkpoints": ["ACCEPTED", "PAID"], "declared_by": "shop"},
    ]
    missing = receiver.rows("SELECT name, missing, likely_cause FROM otel.incomplete_flows ORDER BY 1")
    assert missing == [
        {"name": "PUBLISHED", "missing": ["DELIVERED"], "likely_cause": "no user is connected"},
        {"name": "order", "missing": ["ACCEPTED", "PAID"], "likely_cause": "it stopped before ACCEPTED"},
    ]


def test_without_early_flush_they_come_with_the_batch(receiver: Serving) -> None:
    with start(receiver, "batch") as application:
        assert application.stdout is not None
        assert application.stdout.readline() == "expected\n"
        assert receiver.rows(SEEN) == []
        application.communicate("", TIMEOUT)
    assert [row["checkpoint"] for row in receiver.rows(SEEN)][-2:] == ["PUBLISHED", "RECEIVED"]

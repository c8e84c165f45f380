"""What stdlib logging becomes: one real application logs everything once, and each test looks at one promise."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.library.otlp_receiver import Receiver, attributes, plain, run_app

APP = r"""
import asyncio, enum, logging, sys, threading, uuid
logging.basicConfig(stream=sys.stdout, format="console %(message)s")
from otel_setup import configure_telemetry
configure_telemetry("bridge", endpoint=sys.argv[1])
log = logging.getLogger("shop.till")

class Bad:
    def __str__(self):
        raise RuntimeError("no text for you")
    __repr__ = __str__

class Loud:
    def __str__(self):
        log.warning("logged while being logged")
        return "loud"

log.debug("below the level")
log.info("plain %d", 7)
log.warning({"a": 1, "deep": {"list": [1, "two", 3.5, None, True]}})
log.error(["x", 2])
order = {"id": 9, "lines": [{"sku": "A"}]}
log.critical("with extra", extra={"order": order, "sizes": [1, 2], "owner": uuid.UUID(int=5)})
log.log(25, "custom level")
log.log(5, "not reached")
def fail():
    raise KeyError("missing part")
try:
    fail()
except KeyError:
    log.exception("it failed")
log.info("named event", extra={"otel.event.name": "till.opened"})
threading.Thread(target=lambda: log.info("from a thread"), name="worker-7").start()
async def main():
    asyncio.current_task().set_name("ticker")
    log.info("from a task")
asyncio.run(main())

# poison: each costs its field at most
log.info("body %s", "caf\udce9")
log.info("attribute", extra={"name of file": "b\udcffd", "k\udc80": 1})
log.info("bad argument %s", Bad())
log.info(Bad())
log.info("bad attribute", extra={"bad": Bad(), "good": 1})
log.info("too few %s %s", "one")
log.info("huge", extra={"huge": 10**5000, "big": 2**63, "fits": 2**63 - 1})
loop = []; loop.append(loop)
log.info("endless", extra={"loop": loop})
log.info({"endless": loop})
log.info("loud %s", Loud())
logging.getLogger("scope\udcff").info("unusual scope")
log.info("many", extra={f"k{i}": i for i in range(300)})
log.info("last")
"""


@pytest.fixture(scope="module")
def delivered() -> Iterator[tuple[Receiver, str, str]]:
    with Receiver() as receiver:
        done = run_app(APP, receiver.grpc_endpoint)
        yield receiver, done.stdout, done.stderr


@pytest.fixture
def records(delivered: tuple[Receiver, str, str]) -> dict[Any, Any]:
    """The records that arrived, by body (as text)."""
    return {str(plain(log.body)): log for log in delivered[0].all_logs()}


def test_levels_are_honoured_and_mapped(records: dict[str, Any]) -> None:
    found = {body: (log.severity_number, log.severity_text) for body, log in records.items()}
    assert found["plain 7"] == (9, "INFO")
    assert found["custom level"] == (12, "Level 25")
    assert found["['x', 2]"] == (17, "ERROR")
    assert found["with extra"] == (21, "FATAL")
    assert {"below the level", "not reached"}.isdisjoint(found)


def test_structured_bodies_stay_structured(delivered: tuple[Receiver, str, str]) -> None:
    bodies = delivered[0].bodies()
    assert {"a": 1, "deep": {"list": [1, "two", 3.5, None, True]}} in bodies
    assert ["x", 2] in bodies


def test_extra_becomes_attributes_with_its_structure(records: dict[str, Any]) -> None:
    found = attributes(records["with extra"])
    assert found["order"] == {"id": 9, "lines": [{"sku": "A"}]}
    assert found["sizes"] == [1, 2]
    assert found["owner"] == str(uuid.UUID(int=5))


def test_code_thread_process_and_task_are_recorded(
    delivered: tuple[Receiver, str, str], records: dict[str, Any]
) -> None:
    found = attributes(records["plain 7"])
    assert found["code.file.path"] == "<string>"
    assert found["code.function.name"] == "<module>"
    assert found["code.line.number"] == APP[: APP.index('log.info("plain')].count("\n") + 1
    assert found["thread.name"] == "MainThread"
    assert found["thread.id"] > 0
    (pid,) = {resource["process.pid"] for resource, _ in delivered[0].resources("logs")}
    assert found["process.pid"] == pid
    assert attributes(records["from a thread"])["thread.name"] == "worker-7"
    assert attributes(records["from a task"])["asyncio.task.name"] == "ticker"
    assert "asyncio.task.name" not in found


def test_an_exception_is_recorded_completely(records: dict[str, Any]) -> None:
    found = attributes(records["it failed"])
    assert found["exception.type"] == "KeyError"
    assert found["exception.message"] == "'missing part'"
    assert "in fail" in found["exception.stacktrace"]


def test_an_event_name_becomes_the_field(records: dict[str, Any]) -> None:
    assert records["named event"].event_name == "till.opened"
    assert "otel.event.name" not in attributes(records["named event"])


def test_every_record_has_its_own_time_ordered_uid(delivered: tuple[Receiver, str, str]) -> None:
    logs = delivered[0].all_logs()
    uids = [attributes(log)["log.record.uid"] for log in logs]
    assert len(set(uids)) == len(logs)
    assert all(uuid.UUID(uid).version == 7 and uuid.UUID(uid).hex == uid for uid in uids)
    by_time = sorted(logs, key=lambda log: log.observed_time_unix_nano)
    milliseconds = [int(attributes(log)["log.record.uid"][:12], 16) for log in by_time]
    assert milliseconds == sorted(milliseconds)


def test_an_invalid_value_loses_its_field_and_no_record(records: dict[str, Any]) -> None:
    assert "body caf\\udce9" in records
    unusual = attributes(records["attribute"])
    assert unusual["name of file"] == "b\\udcffd"
    assert unusual["k\\udc80"] == 1
    assert attributes(records["bad argument %s"])["log.body.error"] == "RuntimeError"
    assert "<Bad: str() raised RuntimeError>" in records
    bad = attributes(records["bad attribute"])
    assert (bad["bad"], bad["good"]) == ("<Bad: str() raised RuntimeError>", 1)
    assert attributes(records["too few %s %s"])["log.body.error"] == "TypeError"
    huge = attributes(records["huge"])
    assert (int(huge["huge"], 16), int(huge["big"], 16), huge["fits"]) == (10**5000, 2**63, 2**63 - 1)
    assert "nested deeper" in str(attributes(records["endless"])["loop"])
    assert any(body.startswith("{'endless'") for body in records)
    assert "unusual scope" in records
    assert "last" in records


def test_a_record_with_too_many_attributes_keeps_its_uid(records: dict[str, Any]) -> None:
    found = attributes(records["many"])
    assert records["many"].dropped_attributes_count > 0
    assert {"log.record.uid", "thread.id", "code.line.number"} <= found.keys()


def test_a_record_made_by_making_a_record_is_left_out(delivered: tuple[Receiver, str, str]) -> None:
    bodies = delivered[0].bodies()
    assert "loud loud" in bodies
    # Once for the console handler's formatting; the bridge's own adds none.
    assert bodies.count("logged while being logged") == 1


def test_the_console_of_the_application_still_works(delivered: tuple[Receiver, str, str]) -> None:
    assert "console plain 7" in delivered[1]


FEEDBACK = r"""
import logging, sys
logging.basicConfig(level=logging.DEBUG)
from otel_setup import configure_telemetry
telemetry = configure_telemetry(endpoint=sys.argv[1], protocol=sys.argv[2], headers={"x-token": "secret value"})
logging.getLogger("app").debug("seen")
logging.getLogger("urllib3.mine").debug("the application's own use of a library")
for _ in range(5):
    telemetry.force_flush()
    telemetry.tracer_provider.get_tracer("t").start_span("s").end()
"""


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_exporting_is_not_itself_exported(protocol: str) -> None:
    with Receiver() as receiver:
        endpoint = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint
        console = run_app(FEEDBACK, endpoint, protocol).stderr
        assert "secret value" not in console
        assert receiver.received[0][2]["x-token"] == "secret value"
        assert receiver.bodies() == ["seen", "the application's own use of a library"]


LEVELS = r"""
import logging, sys
if sys.argv[2] != "-": logging.getLogger().setLevel(int(sys.argv[2]))
from otel_setup import configure_telemetry
configure_telemetry(endpoint=sys.argv[1], log_level=None if sys.argv[3] == "-" else sys.argv[3])
for level in (10, 20, 30, 40):
    logging.getLogger("app").log(level, str(level))
print(logging.getLogger().level)
"""


@pytest.mark.parametrize(
    ("root", "log_level", "exported", "root_after"),
    [
        ("-", "-", ["20", "30", "40"], 20),
        ("40", "-", ["40"], 40),
        ("10", "-", ["10", "20", "30", "40"], 10),
        ("-", "error", ["40"], 30),
        ("-", "DEBUG", ["10", "20", "30", "40"], 10),
    ],
)
def test_which_levels_are_exported(root: str, log_level: str, exported: list[str], root_after: int) -> None:
    with Receiver() as receiver:
        done = run_app(LEVELS, receiver.grpc_endpoint, root, log_level)
        assert receiver.bodies() == exported
        assert done.stdout.strip() == str(root_after)
        # Where the application has no handler at all, logging itself prints warnings: a bridge must not end that.
        assert done.stderr.split() == [level for level in ("30", "40") if int(level) >= root_after]


RECONFIGURED = r"""
import logging, logging.config, sys
from otel_setup import configure_telemetry
configure_telemetry(endpoint=sys.argv[1])
logging.basicConfig(stream=sys.stdout, force=True)
logging.getLogger("app").info("after basicConfig")
logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, "root": {"level": "INFO", "handlers": []}})
logging.getLogger("app").info("after dictConfig")
"""


def test_the_bridge_survives_a_later_logging_configuration() -> None:
    with Receiver() as receiver:
        done = run_app(RECONFIGURED, receiver.grpc_endpoint)
        assert receiver.bodies() == ["after basicConfig", "after dictConfig"]
        assert "INFO:app:after basicConfig" in done.stdout

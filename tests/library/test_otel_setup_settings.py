"""What arguments and variables mean, without a process; then that a real process obeys them and never raises."""

from typing import Any

import pytest

from otel_setup.config.settings import Arguments, resolve
from otelgres.exporters.batch import Signal
from otelgres.exporters.target import Target
from tests.library.otlp_receiver import Receiver, run_app

LOGS = "OTEL_EXPORTER_OTLP_LOGS"
ALL = "OTEL_EXPORTER_OTLP"
HTTP = "http/protobuf"


def logs_target(environ: dict[str, str], **arguments: Any) -> Target:
    settings = resolve(Arguments(**arguments), environ)
    assert settings.warnings == []
    return settings.targets[Signal.LOGS]


@pytest.mark.parametrize(
    ("arguments", "environ", "protocol", "endpoint", "insecure"),
    [
        ({}, {}, "grpc", "http://localhost:4317", True),
        ({"protocol": HTTP}, {}, HTTP, "http://localhost:4318/v1/logs", True),
        ({"endpoint": "127.0.0.1:4317"}, {}, "grpc", "127.0.0.1:4317", True),
        ({"endpoint": "[::1]:4317"}, {}, "grpc", "[::1]:4317", True),
        ({"endpoint": "localhost:4317"}, {}, "grpc", "localhost:4317", True),
        ({"endpoint": "collector.example:4317"}, {}, "grpc", "collector.example:4317", False),
        ({"endpoint": "collector.example:4317"}, {f"{ALL}_INSECURE": "true"}, "grpc", "collector.example:4317", True),
        ({"endpoint": "http://collector.example:4317"}, {}, "grpc", "http://collector.example:4317", True),
        ({"endpoint": "https://localhost:4317"}, {}, "grpc", "https://localhost:4317", False),
        ({"endpoint": "unix:/run/otel.sock"}, {}, "grpc", "unix:/run/otel.sock", True),
        ({"endpoint": "http://h:4318/"}, {}, HTTP, "http://h:4318/v1/logs", True),
        ({"endpoint": "h:4318"}, {}, HTTP, "http://h:4318/v1/logs", True),
        ({"endpoint": "http://h/otlp", "protocol": "http"}, {}, HTTP, "http://h/otlp/v1/logs", True),
        ({}, {f"{ALL}_ENDPOINT": "http://e:4318"}, HTTP, "http://e:4318/v1/logs", True),
        ({}, {f"{ALL}_ENDPOINT": "http://e:1", f"{ALL}_PROTOCOL": "grpc"}, "grpc", "http://e:1", True),
        ({}, {f"{LOGS}_ENDPOINT": "http://e/x", f"{LOGS}_PROTOCOL": HTTP}, HTTP, "http://e/x", True),
        ({}, {f"{LOGS}_PROTOCOL": HTTP, f"{ALL}_PROTOCOL": "grpc"}, HTTP, "http://localhost:4318/v1/logs", True),
        ({"endpoint": "http://a:1"}, {f"{LOGS}_ENDPOINT": "http://e:2"}, "grpc", "http://a:1", True),
        ({"protocol": "grpc"}, {f"{LOGS}_PROTOCOL": HTTP}, "grpc", "http://localhost:4317", True),
    ],
)
def test_where_a_signal_goes(
    arguments: dict[str, Any], environ: dict[str, str], protocol: str, endpoint: str, insecure: bool
) -> None:
    target = logs_target(environ, **arguments)
    assert (target.protocol, target.endpoint, target.insecure) == (protocol, endpoint, insecure)


def test_headers_times_and_compression() -> None:
    environ = {f"{ALL}_HEADERS": "A=1, b=x%20y", f"{ALL}_TIMEOUT": "3", f"{ALL}_COMPRESSION": "gzip"}
    target = logs_target(environ, headers={"B": "mine"})
    assert target.headers == {"a": "1", "b": "mine"}
    assert (target.timeout, target.compression) == (3.0, "gzip")
    assert logs_target(environ, timeout=7).timeout == 7.0
    settings = resolve(Arguments(), {"OTEL_METRIC_EXPORT_INTERVAL": "1500"})
    assert (settings.metric_interval, settings.shutdown_timeout) == (1.5, 5.0)
    assert resolve(Arguments(metric_interval=9), {"OTEL_METRIC_EXPORT_INTERVAL": "1500"}).metric_interval == 9.0


def test_signals_can_be_off_and_so_can_everything() -> None:
    settings = resolve(Arguments(), {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "otlp"})
    assert set(settings.targets) == {Signal.METRICS, Signal.LOGS}
    assert resolve(Arguments(), {"OTEL_SDK_DISABLED": "TRUE"}).disabled


@pytest.mark.parametrize(
    ("arguments", "environ", "word"),
    [
        ({"protocol": "thrift"}, {}, "thrift"),
        ({}, {f"{ALL}_PROTOCOL": "http/json"}, "http/json"),
        ({"endpoint": 4317}, {}, "4317"),
        ({"endpoint": "http://"}, {}, "not an endpoint"),
        ({"endpoint": "http://h:99999"}, {}, "99999"),
        ({"endpoint": "ftp://h"}, {}, "ftp"),
        ({"headers": ["a"]}, {}, "headers"),
        ({"headers": {"a b": "secret"}}, {}, "a b"),
        ({"headers": {"token": "se\ncret"}}, {}, "token"),
        ({"resource_attributes": 5}, {}, "resource_attributes"),
        ({"service_name": 5}, {}, "service.name"),
        ({"log_level": "loud"}, {}, "loud"),
        ({"metric_interval": -1}, {}, "metric_interval"),
        ({"timeout": "soon"}, {}, "timeout"),
        ({"shutdown_timeout": float("nan")}, {}, "shutdown_timeout"),
        ({}, {f"{ALL}_TIMEOUT": "ten"}, "ten"),
        ({}, {f"{ALL}_COMPRESSION": "brotli"}, "brotli"),
        ({}, {"OTEL_LOGS_EXPORTER": "zipkin"}, "zipkin"),
        ({}, {"OTEL_METRIC_EXPORT_INTERVAL": "often"}, "often"),
    ],
)
def test_invalid_settings_are_warned_of_once_and_take_the_default(
    arguments: dict[str, Any], environ: dict[str, str], word: str
) -> None:
    settings = resolve(Arguments(**arguments), environ)
    (warning,) = settings.warnings
    assert word in warning
    assert "secret" not in warning
    plain = resolve(Arguments(), {})
    assert settings.targets == plain.targets
    assert (settings.metric_interval, settings.shutdown_timeout) == (plain.metric_interval, plain.shutdown_timeout)


NONSENSE = """
import sys
from otel_setup import configure_telemetry, flow
configure_telemetry(5, endpoint="::::", protocol=3, headers=7, resource_attributes="x", log_level=[], timeout="x",
                    metric_interval=object(), service_version=object(), environment=b"")
with flow("f"):
    print("works")
"""


def test_invalid_input_never_raises() -> None:
    done = run_app(NONSENSE, OTEL_BSP_MAX_QUEUE_SIZE="-5", OTEL_TRACES_SAMPLER="moon", OTEL_ATTRIBUTE_COUNT_LIMIT="x")
    assert done.stdout == "works\n"
    assert "configure_telemetry" in done.stderr


AGAIN = """
import logging, sys
from otel_setup import configure_telemetry
first = configure_telemetry("one", endpoint=sys.argv[1])
assert configure_telemetry("one", endpoint=sys.argv[1]) is first
assert configure_telemetry() is first
print(file=sys.stderr)
assert configure_telemetry("two") is first
assert configure_telemetry("three") is first
logging.getLogger("app").info("once")
"""


def test_called_again_it_changes_nothing_and_warns_once() -> None:
    with Receiver() as receiver:
        done = run_app(AGAIN, receiver.grpc_endpoint)
        assert [body for body in receiver.bodies() if "once" in body] == ["once"]
        before, after = done.stderr.split("\n", 1)
        assert (before, after.count("called again")) == ("", 1)


VARIABLES = """
import logging, sys
from opentelemetry import metrics, trace
from otel_setup import configure_telemetry, flow
configure_telemetry(*sys.argv[1:])
with flow("f"):
    logging.getLogger("app").warning("w")
metrics.get_meter("m").create_counter("c").add(1)
"""


def test_variables_are_obeyed_and_arguments_win() -> None:
    with Receiver() as receiver:
        variables = {
            f"{ALL}_ENDPOINT": receiver.grpc_endpoint,
            f"{LOGS}_ENDPOINT": f"{receiver.http_endpoint}/v1/logs",
            f"{LOGS}_PROTOCOL": "http/protobuf",
            f"{LOGS}_COMPRESSION": "gzip",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_SERVICE_NAME": "named",
            "OTEL_RESOURCE_ATTRIBUTES": "team=blue,host.name=elsewhere",
        }
        run_app(VARIABLES, **variables)
        run_app(VARIABLES, "argument", **variables)

        names = [resource["service.name"] for resource, _ in receiver.resources("traces")]
        assert names == ["named", "argument"]
        (resource, _), *_ = receiver.resources("logs")
        assert (resource["team"], resource["host.name"]) == ("blue", "elsewhere")
        assert receiver.resources("metrics") == []
        assert {headers.get("content-encoding") for kind, _, headers in receiver.received if kind == "logs"} == {"gzip"}


def test_the_whole_can_be_switched_off() -> None:
    with Receiver() as receiver:
        done = run_app(VARIABLES, OTEL_SDK_DISABLED="true", **{f"{ALL}_ENDPOINT": receiver.grpc_endpoint})
        assert receiver.received == []
        assert done.stderr == "w\n"


@pytest.mark.parametrize("value", ["never", "0", "-1", "nan"])
def test_report_interval(value: str) -> None:
    variable = "OTELGRES_TELEMETRY_REPORT_INTERVAL"
    assert resolve(Arguments(), {}).report_interval == 15
    assert resolve(Arguments(), {variable: "2.5"}).report_interval == 2.5
    assert resolve(Arguments(report_interval=1), {variable: "2.5"}).report_interval == 1
    wrong = resolve(Arguments(), {variable: value})
    assert wrong.report_interval == 15
    assert [variable in warning for warning in wrong.warnings] == [True]

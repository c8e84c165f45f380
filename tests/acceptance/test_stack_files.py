"""Dockerfile, docker-compose.yml and the systemd unit: what they start is started here, what they name exists.

No container engine is needed. With go on PATH, `make test-interop` also has compose's own library read the file.
"""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from otelgres.collector.embedded import Cluster, Login
from tests import postgres
from tests.acceptance.receiver_process import OtelgresProcess, environment, rows, run_otelgres
from tests.waiting import until

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
UNIT = ROOT / "docs" / "deploy" / "otelgres.service"
COMPOSE_READER = "github.com/compose-spec/compose-go/v2/cmd@v2.16.2"


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return loaded


def service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"][name]
    return found


OURS = sorted(name for name, service in compose()["services"].items() if service["image"] == "otelgres:local")


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """What ``make secrets`` makes, in a copy of the tree that holds nothing else."""
    script = tmp_path / "docs" / "deploy" / "make-secrets.sh"
    script.parent.mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "deploy" / script.name, script)
    subprocess.run(["sh", str(script)], check=True, capture_output=True)
    return tmp_path / "secrets"


@pytest.fixture
def server(postgres_version: str) -> Iterator[Cluster]:
    """PostgreSQL with the settings of the compose file, and nobody's roles."""
    settings = dict(option.removeprefix("-c").split("=", 1) for option in service("postgres")["command"][1:])
    with (
        postgres.temporary_data() as data,
        Cluster(data / "cluster", version=postgres_version, more=settings) as running,
    ):
        with psycopg.connect(running.dsn(Login.OWNER)) as connection:
            for name, value in settings.items():
                assert connection.execute("SELECT current_setting(%s) = %s", [name, value]).fetchone() == (True,), name
        yield running


def test_secrets_are_made_once_and_agree(secrets: Path) -> None:
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    contents = {path.name: path.read_text() for path in secrets.iterdir()}
    assert set(contents) == set(compose()["secrets"])
    passwords = [text for name, text in contents.items() if name.endswith("_password")]
    assert all(re.fullmatch("[0-9a-f]{48}", text) for text in passwords)
    assert len(set(passwords)) == len(passwords)
    assert f":{contents['receiver_password']}@postgres:5432/otelgres" in contents["receiver_dsn"]
    assert f":{contents['postgres_password']}@postgres:5432/otelgres" in contents["postgres_dsn"]
    assert f":{contents['admin_password']}@postgres:5432/otelgres" in contents["admin_dsn"]
    subprocess.run(["sh", str(secrets.parent / "docs/deploy/make-secrets.sh")], check=True, capture_output=True)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == contents


def test_the_services_of_ours_do_their_work_as_processes(server: Cluster, secrets: Path, tmp_path: Path) -> None:
    assert OURS == ["demo", "receiver", "schema"]
    # The embedded server has a socket and no passwords; what the files say of hosts and passwords is replaced.
    superuser = server.dsn(Login.SUPERUSER)
    receiver = superuser.replace("//postgres", "//otelgres_receiver", 1)
    (secrets / "postgres_dsn").unlink()
    (secrets / "admin_dsn").unlink()
    (secrets / "postgres_dsn").write_text(superuser)
    (secrets / "admin_dsn").write_text(superuser.replace("//postgres", "//otelgres_admin", 1))
    for file in secrets.iterdir():
        # Below /run/secrets their mode does not matter.
        file.chmod(0o600)

    script = service("schema")["command"][0]
    assert service("schema")["entrypoint"] == ["/bin/sh", "-euc"]
    program = tmp_path / "bin" / "otelgres"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from otelgres.collector.cli import main; main()" "$@"\n')
    program.chmod(0o755)
    with psycopg.connect(superuser, autocommit=True) as connection:
        # An earlier version's logins, which the superuser made.
        connection.execute("CREATE ROLE otelgres_receiver LOGIN")
        connection.execute("CREATE ROLE grafana LOGIN")
    for _ in range(2):  # each `docker compose up` runs it again
        done = subprocess.run(
            ["/bin/sh", "-euc", script.replace("/run/secrets", str(secrets))],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
            env=environment(
                OTELGRES_DSN_FILE=str(secrets / "postgres_dsn"), PATH=f"{program.parent}:{os.environ['PATH']}"
            ),
        )
        assert done.returncode == 0, done.stderr

    arguments = [re.sub(r"^0\.0\.0\.0:\d+$", "127.0.0.1:0", one) for one in service("receiver")["command"]]
    with OtelgresProcess(
        *arguments, "--json", OTELGRES_DSN=receiver, OTELGRES_SPOOL=str(tmp_path / "spool"), OTELGRES_DATA=str(tmp_path)
    ) as running:
        ready = running.ready()
        healthy = run_otelgres("healthcheck", OTELGRES_HTTP=ready["http"].removeprefix("http://"))
        assert healthy.returncode == 0, healthy.stderr
        command = service("demo")["command"]
        assert command[:2] == ["demo", "--endpoint"]
        sent = run_otelgres("demo", "--endpoint", f"http://{ready['grpc']}", "--seconds", "2", "--json", timeout=90)
        assert sent.returncode == 0, sent.stderr
        records = json.loads(sent.stdout)["sent"]["records"]
        count = """
            SELECT (SELECT count(*) FROM otel.spans) + (SELECT count(*) FROM otel.logs)
                + (SELECT count(*) FROM otel.span_starts) + (SELECT count(*) FROM otel.process_liveness) AS n
        """
        grafana = superuser.replace("//postgres", "//grafana", 1)
        until(lambda: rows(grafana, count)[0]["n"] >= records, "what the demo has sent")


def test_a_stopped_receiver_is_not_healthy() -> None:
    done = run_otelgres("healthcheck", "--http", "127.0.0.1:1")
    assert done.returncode == 1
    assert "no answer from 127.0.0.1:1" in done.stderr


def test_a_demo_without_a_receiver_says_so() -> None:
    done = run_otelgres("demo", "--endpoint", "127.0.0.1:1", "--seconds", "1")
    assert done.returncode == 2
    assert "must be a URL" in done.stderr


def test_the_compose_file_publishes_nothing_and_names_what_exists() -> None:
    whole = compose()
    for name, service in whole["services"].items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name
        assert ":" in service["image"], name
        assert not service["image"].endswith(":latest"), name
        assert set(service.get("secrets", [])) <= set(whole["secrets"]), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), source
                assert volume.endswith(":ro")
            else:
                assert source in whole["volumes"], source
        for key, value in service.get("environment", {}).items():
            assert "PASSWORD" not in key or key.endswith("FILE"), f"{name}: {key}={value}"
        assert set(service.get("depends_on", {})) <= set(whole["services"])
        for other, wanted in service.get("depends_on", {}).items():
            has_check = other == "receiver" or "test" in whole["services"][other].get("healthcheck", {})
            assert has_check or wanted["condition"] != "service_healthy", f"{name} waits for {other}"
        if name != "postgres":  # which changes to its own user, and owns its volume
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name


def test_the_image_has_what_the_program_needs_and_no_more(tmp_path: Path) -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    stages = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert len(set(stages)) == 1
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    healthcheck = re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", text, re.MULTILINE)
    assert healthcheck is not None
    assert json.loads(healthcheck[1]) == ["otelgres", "healthcheck"]
    copied = {
        source.rstrip("/")
        for line in re.findall(r"^COPY (?!--)(.+) \S+$", text, re.MULTILINE)
        for source in line.split()
    }
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    assert copied == {line.removeprefix("!") for line in ignored if line.startswith("!")}
    for source in copied:
        assert (ROOT / source).exists()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on PATH")
def test_systemd_takes_the_unit() -> None:
    with tempfile.TemporaryDirectory() as folder:
        unit = Path(folder) / "otelgres.service"
        text = UNIT.read_text(encoding="utf-8")
        assert "ExecStart=/opt/otelgres/bin/otelgres serve --json\n" in text
        # verify wants the program to be there.
        unit.write_text(text.replace("/opt/otelgres/bin/otelgres", shutil.which("true") or "true"))
        done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.interop
@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("go") is None, reason="go, with which compose's library is built, is not on PATH")
def test_compose_takes_the_file(tmp_path: Path) -> None:
    done = subprocess.run(
        ["go", "run", COMPOSE_READER, "-format", "json", str(COMPOSE)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)["services"]) == set(compose()["services"])

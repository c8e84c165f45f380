"""``otelgres`` as a process: where it may listen, what its tokens do, and that secrets are nowhere to be seen."""

import concurrent.futures
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
import httpx
import psutil
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from otelgres.collector.cli.group import cli
from otelgres.collector.embedded import Cluster, Login
from tests import postgres
from tests.acceptance.certificates import Authority
from tests.acceptance.http_client import PAYLOAD
from tests.acceptance.receiver_process import environment, run_otelgres
from tests.waiting import TIMEOUT, until

PASSWORD = "pa55word-of-the-database"
SOMEWHERE = "dbname=nowhere host=/nowhere"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # away from anybody's otelgres.yaml
    return tmp_path


def new_token(file: Path, *options: str) -> str:
    made = run_otelgres("token", "new", "--tokens-file", str(file), *options)
    assert made.returncode == 0, made.stderr
    assert made.stdout.strip() not in file.read_text()
    return made.stdout.strip()


def listed(file: Path) -> list[dict[str, Any]]:
    answer = run_otelgres("token", "list", "--json", "--tokens-file", str(file))
    assert answer.returncode == 0, answer.stderr
    return [json.loads(line) for line in answer.stdout.splitlines()]


def test_tokens_are_made_listed_and_revoked(folder: Path) -> None:
    file = folder / "tokens.yaml"
    first = new_token(file, "--name", "orders", "--scope", "ingest", "--expires", "90d", "--tenant", "acme")
    new_token(file, "--name", "orders", "--scope", "ingest", "--scope", "read")
    one, two = listed(file)
    assert (one["name"], one["scopes"], one["tenant"], two["scopes"]) == (
        "orders",
        ["ingest"],
        "acme",
        ["ingest", "read"],
    )
    table = run_otelgres("token", "list", OTELGRES_TOKENS_FILE=str(file)).stdout
    assert one["id"] in table
    assert first not in table
    assert run_otelgres("token", "revoke", "nothing", "--tokens-file", str(file)).returncode == 1
    assert run_otelgres("token", "revoke", one["id"], "--tokens-file", str(file)).returncode == 0
    assert [entry["id"] for entry in listed(file)] == [two["id"]]
    for wrong in (["--expires", "soon"], ["--expires", "2020-01-01"], ["--scope", "admin"], ["--name", ""]):
        options = {"--name": "x", "--scope": "ingest"} | {wrong[0]: wrong[1]}
        answer = run_otelgres(
            "token", "new", "--tokens-file", str(file), *(word for pair in options.items() for word in pair)
        )
        assert answer.returncode == 2
        assert "Traceback" not in answer.stderr
    assert run_otelgres("token", "list").returncode == 2


@pytest.mark.parametrize("exposed", [("--grpc", "0.0.0.0:0"), ("--http", "0.0.0.0:0")])
def test_addresses_that_others_can_reach_are_refused(folder: Path, exposed: tuple[str, str]) -> None:
    addresses = {"--grpc": "127.0.0.1:0", "--http": "127.0.0.1:0"} | dict([exposed])
    arguments = [word for pair in addresses.items() for word in pair]
    answer = run_otelgres("serve", *arguments, OTELGRES_DSN=SOMEWHERE, OTELGRES_SPOOL=str(folder))
    assert answer.returncode == 1
    assert f"{exposed[0].removeprefix('--')} is set to 0.0.0.0" in answer.stderr
    for way in ("tls_cert", "tokens_file", "otelgres token new", "OTELGRES_INSECURE_BIND=true"):
        assert way in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1


@pytest.fixture
def secret_dsn(cluster: Cluster, migrated: str) -> Iterator[str]:
    """A database, and a password that it does not ask for."""
    with postgres.new_database(cluster, migrated) as dsn:
        yield make_conninfo(dsn, password=PASSWORD)


@contextmanager
def _database_away(dsn: str) -> Iterator[None]:
    name = conninfo_to_dict(dsn)["dbname"]
    superuser = make_conninfo(dsn, user=Login.SUPERUSER.user, dbname="postgres")
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'.encode())
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        try:
            yield
        finally:
            connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'.encode())


@contextmanager
def session(dsn: str, output: Path, **environ: str) -> Iterator["subprocess.Popen[bytes]"]:
    """``otelgres serve --dsn`` that logs everything there is, in Python's development mode, into ``output``.

    The database is away when it starts.
    """
    everything = "import logging; logging.basicConfig(level=1); from otelgres.collector.cli import main; main()"
    with output.open("wb") as log, ExitStack() as stack:
        with _database_away(dsn):
            process = subprocess.Popen(
                [sys.executable, "-X", "dev", "-c", everything, "serve", "--dsn", dsn],
                stdout=log, stderr=subprocess.STDOUT, env=environment(**environ), start_new_session=True,
            )  # fmt: skip
            stack.callback(process.wait, TIMEOUT)
            stack.callback(process.kill)
            until(lambda: "the database is not ready" in output.read_text(), "a warning")
        until(lambda: "otelgres is ready" in output.read_text() or process.poll() is not None, "readiness")
        assert process.poll() is None, output.read_text()
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0, output.read_text()


def test_secrets_are_nowhere_to_be_seen(folder: Path, secret_dsn: str) -> None:
    """A session with everything that goes wrong; its output, rows and files are searched for its secrets."""
    pair = Authority(folder / "ca").pair("server", "serverAuth")
    tokens, spool, output = folder / "tokens.yaml", folder / "spool", folder / "output"
    ingest, read = (new_token(tokens, "--name", name, "--scope", name) for name in ("ingest", "read"))
    wrong = "a-token-that-was-mistyped"
    address = f"127.0.0.1:{_free_port()}"
    settings = {
        "OTELGRES_SPOOL": str(spool), "OTELGRES_GRPC": "127.0.0.1:0", "OTELGRES_HTTP": address,
        "OTELGRES_TLS_CERT": str(pair.cert), "OTELGRES_TLS_KEY": str(pair.key), "OTELGRES_TOKENS_FILE": str(tokens),
        "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    with (
        session(secret_dsn, output, **settings) as process,
        httpx.Client(base_url=f"https://{address}", verify=False, timeout=TIMEOUT) as client,
    ):
        assert PASSWORD not in " ".join(psutil.Process(process.pid).cmdline())

        def send(token: str, body: bytes = PAYLOAD) -> httpx.Response:
            headers = {"Content-Type": "application/x-protobuf", "Authorization": f"Bearer {token}"}
            return client.post("/v1/traces", content=body, headers=headers)

        answers = [send(ingest), send(wrong), send(read), send(ingest, b"junk")]
        assert [answer.status_code for answer in answers] == [200, 401, 403, 400]
        answers += [client.get("/metrics", headers={"Authorization": f"Bearer {read}"}), client.get("/metrics")]
        assert [answer.status_code for answer in answers[4:]] == [200, 401]
        with _database_away(secret_dsn):
            until(lambda: send(ingest, PAYLOAD.replace(b"nnn", b"mmm")).status_code == 200, "the spool")
            answers.append(client.get("/readyz"))
            assert answers[-1].json() == {"status": "ready"}
    with psycopg.connect(secret_dsn) as connection:
        stored = [
            str(connection.execute(f"SELECT * FROM _otel.{table}".encode()).fetchall())
            for table in ("losses", "receivers")
        ]
    places = {
        "output": output.read_text(),
        "answers": "".join(f"{answer.headers}{answer.text}" for answer in answers),
        "database": "".join(stored),
        "spool": b"".join(path.read_bytes() for path in spool.rglob("*") if path.is_file()).decode("latin-1"),
    }
    for secret in (PASSWORD, ingest, read, wrong):
        for place, text in places.items():
            assert secret not in text, f"{secret} in {place}: {_around(text, secret)}"
    assert "the password in --dsn was visible to other users on the command line" in places["output"]


# What commands want besides --dsn; a command that is not here wants nothing. `serve` is in the session above.
ARGUMENTS = {
    "query": ["SELECT 1"],
    "flow": ["5b8aa5a2d2c872e8321cf37308d69df2"],
    "role create": ["x", "--kind", "reader"],
    "tail": ["logs"],
    "report": ["errors"],
    "export training": ["--out", "nowhere"],
}


def _commands_with_a_dsn(group: click.Group, *names: str) -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _commands_with_a_dsn(command, *names, name)
        elif any(parameter.name == "dsn" for parameter in command.params) and name != "serve":
            yield " ".join((*names, name))


def test_every_command_takes_the_password_off_its_line_and_says_nothing_of_it(folder: Path) -> None:
    dsn = f"postgresql://somebody:{PASSWORD}@127.0.0.1:1/nowhere"

    def errors_of(command: str, dsn: str) -> str:
        done = run_otelgres(*command.split(), *ARGUMENTS.get(command, []), "--dsn", dsn)
        assert done.returncode != 0, command
        return done.stdout + done.stderr

    commands = list(_commands_with_a_dsn(cli))
    assert {"bench ingest", "migrate", "status", "tail", "alerts"} <= set(commands)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        away = pool.map(lambda command: errors_of(command, dsn), commands)
        malformed = pool.map(lambda command: errors_of(command, dsn.replace("127", "[127")), commands[:4])
        for command, text in zip(commands, away, strict=True):
            assert PASSWORD not in text, command
            assert "It was overwritten there" in text or sys.platform != "linux", (command, text)
        for text in malformed:
            assert PASSWORD not in text
            assert "Traceback" not in text


def _around(text: str, secret: str) -> str:
    at = text.index(secret)
    return text[max(0, at - 200) : at + 100]


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port

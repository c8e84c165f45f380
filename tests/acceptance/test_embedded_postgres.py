"""The embedded server kept alive by real owners, killed in every order, as root and as an ordinary user."""

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from otelgres.collector.embedded import Cluster, EmbeddedPostgresError, Login, binaries, postmaster, running_dsn
from otelgres.collector.embedded.os_user import server_user
from otelgres.collector.embedded.run_as import command as run_as
from tests import postgres
from tests.waiting import until

REPOSITORY = Path(__file__).parents[2]
needs_root = pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root changes users")

OWNER = """
import os, sys
from pathlib import Path
from otelgres.collector.embedded import Cluster, Login
cluster = Cluster(Path(sys.argv[1]), version=sys.argv[2])
cluster.start()
try:
    # Inside: whoever reads this line may interrupt before the next one begins.
    print(cluster.pid, flush=True)
    sys.stdin.read()
except KeyboardInterrupt:
    import psycopg
    with psycopg.connect(cluster.dsn(Login.OWNER)) as connection:
        print(connection.execute("SELECT 'still here'").fetchone()[0], flush=True)
cluster.stop()
"""


ADOPTING = """
import ctypes, subprocess, sys
import psutil
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER
command = [sys.executable, "-c", sys.argv[3], *sys.argv[1:3]]
killed = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
server = psutil.Process(int(killed.stdout.readline()))
killed.kill()
killed.wait()
following = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
print("started" if int(following.stdout.readline()) != server.pid else "the same", server.status(), flush=True)
following.communicate("")
"""


COUNTING_FORKS = """
import ctypes, os, sys
from pathlib import Path
from otelgres.collector.embedded import Cluster
forks = []
count = ctypes.CFUNCTYPE(None)(lambda: forks.append(1))
assert getattr(ctypes.CDLL(None), "__register_atfork")(count, None, None, None) == 0
for _ in range(2):  # a start with initdb, and one without
    with Cluster(Path(sys.argv[1]), version=sys.argv[2], copies=Path(sys.argv[3])):
        pass
print(len(forks), flush=True)
if not (child := os.fork()):
    os._exit(0)
os.waitpid(child, 0)
print(len(forks))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder; whatever server is left below it is stopped afterwards."""
    with postgres.temporary_data() as path:
        yield path


@pytest.fixture(scope="module")
def made(postgres_version: str) -> Iterator[Path]:
    """A data folder that was started once and stopped."""
    with postgres.temporary_data() as folder:
        with Cluster(folder / "data", version=postgres_version):
            pass
        yield folder / "data"


@pytest.fixture
def data(made: Path, folder: Path) -> Path:
    """A copy of it: faster than making one, and what a user does who copies his data."""
    subprocess.run(["cp", "-a", made, folder / "data"], check=True)
    return folder / "data"


@pytest.fixture
def new(folder: Path) -> Path:
    """A data folder that does not exist yet."""
    return folder / "new"


@pytest.fixture
def owner(data: Path, postgres_version: str) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts processes that own a server on ``data``; what they printed first is the server's pid."""
    owners: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-c", OWNER, str(data), postgres_version]
        process = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        owners.append(process)
        return process

    yield start
    for process in owners:
        process.kill()
        process.communicate()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def ask(dsn: str, query: str) -> object:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def remember(dsn: str, word: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (word text)")
        connection.execute("INSERT INTO kept VALUES (%s)", [word])


def kept(dsn: str) -> object:
    return ask(dsn, "SELECT array_agg(word ORDER BY word) FROM kept")


def test_a_start_from_nothing_serves_psql_and_psycopg_and_leaves_nothing_running(
    new: Path, postgres_version: str
) -> None:
    cluster = Cluster(new, version=postgres_version)
    cluster.start()
    try:
        server = psutil.Process(cluster.pid)
        assert running_dsn(new) == cluster.dsn(Login.READER)
        psql = binaries.packaged(cluster.version) / "psql"
        command = [str(psql), cluster.dsn(Login.OWNER), "-XAtc", "SELECT current_database(), current_user"]
        environment = {**os.environ, "PGPORT": "1", "PGDATABASE": "elsewhere"}
        assert subprocess.check_output(command, text=True, env=environment).strip() == "otelgres|otelgres_owner"
        remember(cluster.dsn(Login.OWNER), "first")
    finally:
        cluster.stop()
    assert not postmaster.alive(server)
    assert not cluster.running
    assert running_dsn(new) is None
    assert not list(new.rglob(".s.PGSQL*"))

    with Cluster(new, version=postgres_version) as again:
        assert kept(again.dsn(Login.OWNER)) == ["first"]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("data_checksums", "on"),
        ("server_encoding", "UTF8"),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
        ("listen_addresses", ""),
        ("unix_socket_permissions", "0700"),
        ("jit", "off"),
        ("max_wal_size", "4GB"),
        ("checkpoint_timeout", "15min"),
        ("logging_collector", "on"),
    ],
)
def test_the_settings_in_force(durable: str, setting: str, value: str) -> None:
    assert ask(durable, f"SHOW {setting}") == value


def test_text_is_compared_by_code_point_and_folded_by_unicode(durable: str) -> None:
    assert ask(durable, "SELECT 'Z' < 'a' AND 'z' < 'ä' AND upper('ä') = 'Ä'") is True


def test_every_setting_of_ours_was_taken(durable: str) -> None:
    durable = postgres.as_login(durable, Login.SUPERUSER)
    assert ask(durable, "SELECT count(*) FROM pg_file_settings WHERE error IS NOT NULL") == 0
    assert ask(durable, "SELECT count(*) FROM pg_file_settings WHERE sourcefile LIKE '%/otelgres.conf'") != 0


@pytest.fixture(scope="module")
def durable(postgres_version: str) -> Iterator[str]:
    """The DSN of a server with no setting changed for tests."""
    with postgres.temporary_data() as folder, Cluster(folder / "data", version=postgres_version) as cluster:
        yield cluster.dsn(Login.OWNER)


def test_the_data_keeps_its_version(new: Path) -> None:
    with Cluster(new, version="16") as old:
        remember(old.dsn(Login.OWNER), "sixteen")
    with Cluster(new, version="18") as again:
        assert again.version == "16"
        assert str(ask(again.dsn(Login.OWNER), "SHOW server_version")).startswith("16.")
        assert kept(again.dsn(Login.OWNER)) == ["sixteen"]


def test_local_conf_wins_over_ours_and_survives_a_start(data: Path, postgres_version: str) -> None:
    cluster = Cluster(data, version=postgres_version)
    with cluster:
        assert ask(cluster.dsn(Login.OWNER), "SHOW work_mem") == "16MB"
    (cluster.pgdata / "local.conf").write_text("work_mem = 17MB\n")
    for _ in range(2):
        with cluster:
            assert ask(cluster.dsn(Login.OWNER), "SHOW work_mem") == "17MB"


def test_settings_in_our_environment_are_not_the_servers(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with Cluster(data) as cluster:
        monkeypatch.undo()
        assert ask(cluster.dsn(Login.OWNER), "SHOW client_encoding") == "UTF8"


def test_a_moved_folder_starts(folder: Path, data: Path, postgres_version: str) -> None:
    with Cluster(data, version=postgres_version) as cluster:
        remember(cluster.dsn(Login.OWNER), "moved")
    moved = data.rename(folder / "elsewhere")
    with Cluster(moved) as cluster:
        assert kept(cluster.dsn(Login.OWNER)) == ["moved"]
    assert b"/data/" not in b"".join(path.read_bytes() for path in (moved / "postgres").glob("*.conf"))


def test_only_one_owner_at_a_time(data: Path, owner: Callable[[], subprocess.Popen[str]]) -> None:
    first = owner()
    server = int(first_line(first))
    with pytest.raises(EmbeddedPostgresError, match=rf"in use by process {first.pid}: stop that process"):
        Cluster(data).start()
    assert psutil.pid_exists(server)
    first.communicate("")
    assert first.returncode == 0
    with Cluster(data) as cluster:
        assert cluster.running


def test_an_owner_killed_leaves_a_server_that_the_next_one_replaces(
    data: Path, owner: Callable[[], subprocess.Popen[str]]
) -> None:
    first = owner()
    server = psutil.Process(int(first_line(first)))
    dsn = running_dsn(data, Login.OWNER)
    assert dsn is not None
    remember(dsn, "before the kill")
    first.kill()
    first.wait()
    assert server.is_running()
    with Cluster(data) as cluster:
        assert not postmaster.alive(server)
        assert cluster.pid != server.pid
        assert kept(cluster.dsn(Login.OWNER)) == ["before the kill"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process adopt orphans")
def test_a_server_that_nobody_reaps_is_replaced_as_fast_as_any(data: Path, postgres_version: str) -> None:
    # In a container whose first process is no init, the server of a killed owner stays behind as a zombie. Here that
    # first process is the one that adopts orphans and never asks for their ends.
    process = subprocess.Popen(
        [sys.executable, "-c", ADOPTING, str(data), postgres_version, OWNER],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    before = time.monotonic()
    assert first_line(process) == "started zombie"
    assert time.monotonic() - before < 25  # about 2; waiting for the zombie's end takes 40
    process.communicate()


def test_owner_and_server_killed_lose_nothing_that_was_committed(
    data: Path, owner: Callable[[], subprocess.Popen[str]]
) -> None:
    for word in ("one", "two"):
        first = owner()
        server = psutil.Process(int(first_line(first)))
        dsn = running_dsn(data, Login.OWNER)
        assert dsn is not None
        busy = psycopg.connect(dsn)  # keeps a backend that has to notice the death of its server
        busy.execute("SELECT 1")
        remember(dsn, word)
        first.kill()
        server.kill()
        first.wait()
        with Cluster(data) as cluster:
            assert word in str(kept(cluster.dsn(Login.OWNER)))
        busy.close()


def test_a_server_that_was_stopped_by_a_signal_and_cannot_answer_is_replaced(
    data: Path, owner: Callable[[], subprocess.Popen[str]]
) -> None:
    first = owner()
    server = psutil.Process(int(first_line(first)))
    first.kill()
    first.wait()
    server.suspend()
    cluster = Cluster(data)
    cluster.start(timeout=5)
    try:
        assert not postmaster.alive(server)
    finally:
        cluster.stop()


def test_a_fork_of_a_killed_owner_does_not_keep_the_lock(data: Path, postgres_version: str) -> None:
    fork = "if os.fork() == 0:\n        print(os.getpid(), flush=True); sys.stdin.read(); os._exit(0)\n"
    forked = OWNER.replace("print(cluster.pid, flush=True)\n", fork)
    process = subprocess.Popen(
        [sys.executable, "-c", forked, str(data), postgres_version],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    child = int(first_line(process))
    process.kill()
    process.wait()
    assert psutil.pid_exists(child)
    with Cluster(data) as cluster:
        assert cluster.running
    process.communicate()  # closes its input, upon which the fork ends


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc tells of the forks of a process")
def test_no_process_is_started_by_fork(new: Path, postgres_version: str) -> None:
    # gRPC's handlers for fork break a child of a process that serves it, and the receiver restarts PostgreSQL.
    done = subprocess.run(
        [sys.executable, "-c", COUNTING_FORKS, str(new), postgres_version, str(new.parent / "copies")],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.split(), done.stderr) == (["0", "1"], "")


@needs_root
def test_a_program_that_cannot_be_run_as_another_user_is_named(folder: Path) -> None:
    program = folder / "program"
    program.write_text("#!/bin/sh\n")
    done = subprocess.run(run_as(12345, 12345, [str(program)]), capture_output=True, text=True, check=False)
    assert done.returncode == 126
    assert done.stderr == f"cannot run {str(program)!r} as user id 12345: Permission denied\n"


@needs_root
@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ([], 2, "usage: run_as.py UID GID PROGRAM [ARGUMENT ...]"),
        (["1", "2"], 2, "usage: "),
        (["nobody", "2", "ls"], 2, "usage: "),
        (["1", "-2", "ls"], 2, "usage: "),
        (["1", "4294967295", "ls"], 2, "usage: "),
        (["9" * 5000, "2", "ls"], 2, "usage: "),
        (["1", "2", ""], 2, "usage: "),
        (
            ["1", "2", "/no/such\nprogram"],
            127,
            "cannot run '/no/such\\nprogram' as user id 1: No such file or directory",
        ),
        (["1", "2", "/"], 126, "cannot run '/' as user id 1: Permission denied"),
    ],
)
def test_wrong_arguments_to_run_as_another_user_are_one_line(arguments: list[str], status: int, text: str) -> None:
    script, *_ = (word for word in run_as(1, 2, ["ls"]) if word.endswith(".py"))
    done = subprocess.run([sys.executable, "-I", "-S", script, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (status, 1)
    assert done.stderr.startswith(text)


@needs_root
def test_another_user_inherits_nothing_but_environment_directory_and_streams(folder: Path) -> None:
    script = "id -u; id -G; pwd; echo $WORD; ls /proc/self/fd | wc -w; grep SigIgn /proc/self/status"
    folder.chmod(0o711)
    with (folder / "open").open("w"):
        done = subprocess.run(
            run_as(12345, 12346, ["sh", "-c", script]),
            cwd=folder,
            env={"PATH": os.environ["PATH"], "WORD": "kept"},
            capture_output=True,
            text=True,
            check=True,
        )
    *kept, ignored = done.stdout.splitlines()
    assert kept == ["12345", "12346", str(folder), "kept", "4"]  # ls itself opens the fourth
    # Python's own (SIGPIPE, SIGXFSZ) are reset; what the tests were started with, such as nohup's, is inherited. The C
    # library keeps two signals for itself, which Python does not see.
    own = {number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN}
    mask = int(ignored.split()[1], 16)
    assert {number for number in signal.valid_signals() if mask >> (number - 1) & 1} == own - {
        signal.SIGPIPE,
        signal.SIGXFSZ,
    }


def test_a_pid_that_is_another_program_now_is_left_alone(data: Path, postgres_version: str) -> None:
    cluster = Cluster(data, version=postgres_version)
    with cluster:
        words = (cluster.pgdata / postmaster.PIDFILE).read_text().splitlines()
    unrelated = subprocess.Popen(server_user(cluster.pgdata).command(["sleep", "600"]))
    try:
        for name in (postmaster.PIDFILE, ".s.PGSQL.5432.lock"):
            (cluster.pgdata / name).write_text("\n".join([str(unrelated.pid), *words[1:]]))
        assert running_dsn(data) is None
        with cluster:
            assert cluster.running
        assert unrelated.poll() is None
    finally:
        unrelated.kill()
        unrelated.wait()


def test_the_server_of_other_data_is_left_alone(folder: Path, data: Path, postgres_version: str) -> None:
    cluster = Cluster(data, version=postgres_version)
    with cluster:
        pass
    with Cluster(folder / "other", version=postgres_version) as other:
        shutil.copyfile(other.pgdata / postmaster.PIDFILE, cluster.pgdata / postmaster.PIDFILE)
        assert running_dsn(data) is None
        with cluster:
            assert cluster.pid != other.pid
            assert other.running


def test_ctrl_c_in_the_terminal_reaches_the_owner_and_not_the_server(
    owner: Callable[[], subprocess.Popen[str]],
) -> None:
    process = owner()
    server = psutil.Process(int(first_line(process)))
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does
    assert first_line(process) == "still here"
    process.wait()
    assert not postmaster.alive(server)


def test_a_backend_that_is_killed_takes_the_server_down_only_for_a_moment(data: Path, postgres_version: str) -> None:
    with Cluster(data, version=postgres_version) as cluster:
        remember(cluster.dsn(Login.OWNER), "word")
        before = cluster.pid
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(cluster.dsn(Login.OWNER)) as connection:
            psutil.Process(connection.info.backend_pid).kill()
            connection.execute("SELECT 1")

        def back() -> bool:
            try:
                return kept(cluster.dsn(Login.OWNER)) == ["word"]
            except psycopg.OperationalError:
                return False

        until(back, "the server has recovered")
        assert cluster.pid == before


def test_a_long_path_gets_a_short_private_socket(folder: Path, data: Path) -> None:
    with Cluster(data.rename(folder / ("long" * 30))) as cluster:
        found = postmaster.find(cluster.pgdata)
        assert found is not None
        assert found.socket_dir is not None
        status = found.socket_dir.stat()
        assert stat.S_IMODE(status.st_mode) == 0o700
        assert status.st_uid == cluster.pgdata.stat().st_uid
        remember(cluster.dsn(Login.OWNER), "far")
        psutil.Process(cluster.pid).kill()
    assert not found.socket_dir.exists()


def test_a_wrong_setting_is_named(data: Path, postgres_version: str) -> None:
    cluster = Cluster(data, version=postgres_version)
    with cluster:
        pass
    (cluster.pgdata / "local.conf").write_text("work_mem = 'plenty'\n")
    with pytest.raises(EmbeddedPostgresError, match=r"(?s)Correct the named line in local.conf.*\"plenty\""):
        cluster.start()
    assert not cluster.running
    (cluster.pgdata / "local.conf").unlink()
    with cluster:  # the failure kept neither lock nor process
        assert cluster.running


def test_data_of_an_unknown_version_is_refused_and_kept(data: Path, postgres_version: str) -> None:
    cluster = Cluster(data, version=postgres_version)
    with cluster:
        pass
    (cluster.pgdata / "PG_VERSION").write_text("15\n")
    with pytest.raises(EmbeddedPostgresError, match="no packaged PostgreSQL 15, only 18 and 16"):
        cluster.start()
    assert (cluster.pgdata / "base").is_dir()


def test_a_folder_with_something_else_in_it_is_refused_and_kept(new: Path) -> None:
    mine = new / "postgres" / "thesis.txt"
    mine.parent.mkdir(parents=True)
    if os.geteuid() == 0:
        shutil.chown(mine.parent, "nobody")
    mine.write_text("years of work")
    with pytest.raises(EmbeddedPostgresError, match="holds no PostgreSQL data: move it away"):
        Cluster(new).start()
    assert mine.read_text() == "years of work"


def test_a_killed_initdb_does_not_prevent_the_next_one(new: Path, postgres_version: str) -> None:
    (new / "postgres.new-killed" / "base").mkdir(parents=True)
    with Cluster(new, version=postgres_version) as cluster:
        assert cluster.running
    assert not list(new.glob("postgres.new-*"))


def test_a_path_that_is_a_file_is_an_error_with_advice(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(EmbeddedPostgresError, match="use a folder you can write to"):
        Cluster(folder / "file" / "data").start()


@needs_root
def test_a_full_disk_is_named(folder: Path, postgres_version: str) -> None:
    script = f"""
import sys
from pathlib import Path
from otelgres.collector.embedded import Cluster, EmbeddedPostgresError
try:
    Cluster(Path(sys.argv[1]) / "data", version="{postgres_version}").start()
except EmbeddedPostgresError as error:
    print(error)
"""
    # A mount namespace of its own: the little disk is gone with the process.
    shell = 'mount -t tmpfs -o size=20m none "$1" && exec "$2" -c "$3" "$1"'
    command = ["unshare", "--mount", "sh", "-c", shell, "sh", str(folder), sys.executable, script]
    done = subprocess.run(command, cwd=REPOSITORY, text=True, capture_output=True, check=False)
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip(f"cannot mount here: {done.stderr}")
    assert "Free some disk space" in done.stdout, done.stdout + done.stderr
    assert "HINT:  Check free disk space." in done.stdout or "No space left on device" in done.stdout


@needs_root
def test_root_may_keep_data_below_a_folder_that_is_closed_to_the_server(folder: Path, postgres_version: str) -> None:
    closed, given = folder / "closed", folder / "closed" / "given"
    given.mkdir(parents=True, mode=0o700)
    closed.chmod(0o700)
    before = [(path.stat().st_mode, path.stat().st_uid) for path in (folder, closed, given)]
    cluster = Cluster(given, version=postgres_version)
    with cluster:
        assert psutil.Process(cluster.pid).uids().real != 0
        remember(cluster.dsn(Login.OWNER), "inside")
        assert ask(cluster.dsn(Login.SUPERUSER), "SELECT pg_reload_conf()") is True
        psutil.Process(cluster.pid).kill()
    with cluster:
        assert kept(cluster.dsn(Login.OWNER)) == ["inside"]
    assert [(path.stat().st_mode, path.stat().st_uid) for path in (folder, closed, given)] == before


@needs_root
def test_root_may_install_the_programs_where_the_server_cannot_reach_them(folder: Path, postgres_version: str) -> None:
    closed, site, copies = folder / "closed", folder / "closed" / "site", folder / "copies"
    folder.chmod(0o711)
    original = binaries.packaged(postgres_version).parents[1]
    install = site / original.name / binaries.packaged(postgres_version).parent.name
    shutil.copytree(binaries.packaged(postgres_version).parent, install, symlinks=True, copy_function=link)
    (site / original.name / "__init__.py").write_text("raise RuntimeError('imported')")
    shutil.copytree(original.with_name(f"{original.name}.libs"), site / f"{original.name}.libs")
    closed.chmod(0o700)
    script = """
import sys
from pathlib import Path
from otelgres.collector.embedded import Cluster, Login, binaries
with Cluster(Path(sys.argv[1]), version=sys.argv[2], copies=Path(sys.argv[3])) as cluster:
    import psutil, psycopg
    print(binaries.packaged(cluster.version), psutil.Process(cluster.pid).exe(), sep="\\n")
    with psycopg.connect(cluster.dsn(Login.OWNER)) as connection:
        connection.execute("SELECT * FROM pg_timezone_names")
        connection.execute("DO 'BEGIN END'")  # loads a library
"""
    for data in ("one", "two"):
        command = [sys.executable, "-c", script, str(closed / data), postgres_version, str(copies)]
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(site)},
            umask=0o077,
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        packaged, running = done.stdout.split()
        assert Path(packaged) == install / "bin"
        assert Path(running).is_relative_to(copies)
    assert len(list(copies.iterdir())) == 1
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@needs_root
def test_an_ordinary_user_runs_it_as_himself(folder: Path, postgres_version: str) -> None:
    home = folder / "home"
    home.mkdir()
    shutil.chown(home, "nobody")
    folder.chmod(0o711)
    # The interpreter may be out of this user's reach, so root starts it, and it becomes him after its imports.
    script = """
import os, pwd, sys
from pathlib import Path
import psutil, psycopg
from otelgres.collector.embedded import Cluster, Login, running_dsn
from otelgres.collector.system.data_folder import default_data_dir
from otelgres.sql.queries import query
for name in ("create_groups", "restrict_database", "move_ownership"):
    query(name)
nobody = pwd.getpwnam("nobody")
os.setgroups([])
os.setresgid(nobody.pw_gid, nobody.pw_gid, nobody.pw_gid)
os.setresuid(nobody.pw_uid, nobody.pw_uid, nobody.pw_uid)
assert str(default_data_dir()).startswith(os.environ["HOME"])
for _ in range(2):
    with Cluster(default_data_dir(), version=sys.argv[1]) as cluster:
        with psycopg.connect(cluster.dsn(Login.OWNER)) as connection:
            print(connection.execute("SELECT 'served'").fetchone()[0])
        assert running_dsn(default_data_dir()) == cluster.dsn(Login.READER)
        assert psutil.Process(cluster.pid).uids().real == nobody.pw_uid
"""
    environment = {name: value for name, value in os.environ.items() if name != "XDG_DATA_HOME"}
    done = subprocess.run(
        [sys.executable, "-c", script, postgres_version],
        cwd=REPOSITORY,
        env={**environment, "HOME": str(home)},
        text=True,
        capture_output=True,
        check=False,
    )
    if f"Permission denied: '{binaries.packaged(postgres_version)}" in done.stderr:
        pytest.skip("the programs are installed where an ordinary user cannot reach them")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["served", "served"]
    made = home / ".local/share/otelgres"
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


@needs_root
def test_the_named_os_user_runs_the_server_and_the_data_stays_his(
    new: Path, postgres_version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTELGRES_PG_USER", "nobody")
    with Cluster(new, version=postgres_version) as cluster:
        assert psutil.Process(cluster.pid).username() == "nobody"
    monkeypatch.setenv("OTELGRES_PG_USER", "daemon")
    with Cluster(new) as cluster:
        assert psutil.Process(cluster.pid).username() == "nobody"
    monkeypatch.setenv("OTELGRES_PG_USER", "no-such-user")
    with pytest.raises(EmbeddedPostgresError, match=r"no unprivileged user no-such-user: name an existing one"):
        Cluster(new.with_name("other")).start()


@needs_root
def test_a_symbolic_link_of_the_servers_user_is_not_followed(data: Path, folder: Path, postgres_version: str) -> None:
    cluster = Cluster(data, version=postgres_version)
    with cluster:
        pass
    target = folder / "target"
    target.write_text("mine")
    (cluster.pgdata / "otelgres.conf").unlink()
    (cluster.pgdata / "otelgres.conf").symlink_to(target)
    with cluster:
        assert target.read_text() == "mine"

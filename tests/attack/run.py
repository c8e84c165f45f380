"""``python -m tests.attack.run [--only GROUP] [--mib N]``: attacks a receiver and its database, and prints what held.

Exits with 1 if anything did not hold. Bounded: about ten minutes, half of it for the amplifiers, of which each has N
MiB (2) once inflated.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests import postgres
from tests.acceptance.receiver_process import OtelgresProcess, invoke
from tests.attack import floods, greedy_senders, privileges
from tests.attack.amplifiers import amplifiers
from tests.attack.measure import HEADING, MIB, measure
from tests.attack.result import Result, table


def _privileges() -> Iterator[Result]:
    with postgres.fast_cluster(postgres.version(None)) as cluster:
        yield from privileges.attack(cluster)


@contextmanager
def guarded_receiver() -> Iterator[floods.Receiver]:
    """A receiver that asks for tokens, on a database of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        postgres.fast_cluster(postgres.version(None)) as cluster,
        postgres.new_database(cluster) as dsn,
    ):
        tokens = Path(folder) / "tokens.yaml"
        made = invoke("token", "new", "--name", "modest", "--scope", "ingest", OTELGRES_TOKENS_FILE=str(tokens))
        if made.returncode:
            raise RuntimeError(made.stderr)
        with OtelgresProcess(
            "serve",
            "--json",
            OTELGRES_DSN=dsn,
            OTELGRES_SPOOL=f"{folder}/spool",
            OTELGRES_TOKENS_FILE=str(tokens),
            OTELGRES_GRPC="127.0.0.1:0",
            OTELGRES_HTTP="127.0.0.1:0",
        ) as process:
            ready = process.ready()
            grpc, http = (int(ready[name].rpartition(":")[2]) for name in ("grpc", "http"))
            yield floods.Receiver(grpc, http, ready["pid"], made.stdout.split()[-1])


def _floods() -> Iterator[Result]:
    with guarded_receiver() as receiver:
        yield from floods.attack(receiver)


def _greedy_senders() -> Iterator[Result]:
    with (
        postgres.fast_cluster(postgres.version(None)) as cluster,
        greedy_senders.receiver(cluster) as (modest, greedy),
    ):
        for row in greedy_senders.attack(modest, greedy):
            figures = f"p99 alone {row.alone * 1000:.0f} ms, attacked {row.attacked * 1000:.0f} ms, {row.failed} failed"
            yield Result("greedy senders", row.name, figures, row.held)


def _amplifiers(mib: int) -> Iterator[Result]:
    with guarded_receiver() as receiver:
        url = f"http://127.0.0.1:{receiver.http}"
        print(HEADING, file=sys.stderr)
        for one in measure(amplifiers(time.time_ns()), url, receiver.pid, token=receiver.token, size=mib * MIB):
            print(one.line(), file=sys.stderr, flush=True)
            name = f"{one.amplifier.name} ({one.amplifier.signal})"
            figures = (
                f"answer {one.status}, {one.seconds:.1f} s, {one.peak / MIB:.0f} MiB, {one.factor:.1f} times its size"
            )
            yield Result("amplifiers", name, figures, one.held)


GROUPS: Final[dict[str, Callable[[int], Iterable[Result]]]] = {
    privileges.GROUP: lambda mib: _privileges(),
    floods.GROUP: lambda mib: _floods(),
    "greedy senders": lambda mib: _greedy_senders(),
    "amplifiers": _amplifiers,
}


def main(only: str | None, mib: int) -> int:
    """Runs the groups in turn, each result printed as it is known; then the table. The exit status."""
    results: list[Result] = []
    for group, attack in GROUPS.items():
        if only in (None, group):
            for result in attack(mib):
                results.append(result)
                print(f"{group}: {result.name}", file=sys.stderr, flush=True)
    print(table(results))
    broken = sum(not result.held for result in results)
    print(f"{len(results) - broken} held, {broken} broken")
    return int(broken > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=list(GROUPS))
    parser.add_argument("--mib", type=int, default=2)
    arguments = parser.parse_args()
    sys.exit(main(arguments.only, arguments.mib))

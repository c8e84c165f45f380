"""``python -m tests.attack.run [--only GROUP]``: attacks a receiver and its database, and prints what held.

Exits with 1 if anything did not hold. Bounded: a few minutes, by itself.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests import postgres
from tests.acceptance.receiver_process import OtelgresProcess, invoke
from tests.attack import floods, privileges
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


GROUPS: Final[dict[str, Callable[[], Iterable[Result]]]] = {
    privileges.GROUP: _privileges,
    floods.GROUP: _floods,
}


def main(only: str | None) -> int:
    """Runs the groups in turn, each result printed as it is known; then the table. The exit status."""
    results: list[Result] = []
    for group, attack in GROUPS.items():
        if only in (None, group):
            for result in attack():
                results.append(result)
                print(f"{group}: {result.name}", file=sys.stderr, flush=True)
    print(table(results))
    broken = sum(not result.held for result in results)
    print(f"{len(results) - broken} held, {broken} broken")
    return int(broken > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=list(GROUPS))
    sys.exit(main(parser.parse_args().only))

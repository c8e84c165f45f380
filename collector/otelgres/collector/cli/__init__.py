"""The command line. What it needs is in extra ``server``; without it, it says so."""

import os
import sys

from otelgres.exporters.extras import advice


def main() -> None:
    """The entry point of ``otelgres``. Exits with 1 if a package of an extra is missing, with the command for it."""
    # gRPC's own lines, on forks that it takes no part in and on ports that we speak of ourselves, are noise here.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    # libpq asks for it in every session: psycopg reads times in no other style, which a database may have as its own.
    os.environ["PGDATESTYLE"] = "ISO"
    try:
        from otelgres.collector.cli.group import run

        run()
    except ImportError as error:
        sentence = advice(error)
        if sentence is None:
            raise
        sys.exit(f"otelgres: {sentence}")

"""The command line. Its packages come with extra ``server``; a missing one is named with the command to install it."""

import os
import sys

from otelgres.exporters.extras import advice


def main() -> None:
    """The entry point of ``otelgres``. Exits with 1 if a package of an extra is missing, with the command for it."""
    # gRPC logs forks and failed binds on its own; the forks are harmless and failed binds are reported by us.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    # psycopg parses times in ISO style only; a database may have another default.
    os.environ["PGDATESTYLE"] = "ISO"
    try:
        from otelgres.collector.cli.group import run

        run()
    except ImportError as error:
        sentence = advice(error)
        if sentence is None:
            raise
        sys.exit(f"otelgres: {sentence}")

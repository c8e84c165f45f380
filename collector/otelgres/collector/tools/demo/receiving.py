"""The receiver that the demo sends to: the one that runs on the data folder, or one of its own for the time being.

Refuses to know what is sent.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from otelgres.collector.embedded.cluster import running_dsn
from otelgres.collector.service.runfile import running
from otelgres.collector.tools.demo.child import Child, ChildError

# Making a new data folder takes a few seconds; a laptop under load deserves more.
_READY_SECONDS = 90.0


class Receiving(NamedTuple):
    """Where to send (``host:port`` and URL), where it ends up, and whether it was there before us."""

    grpc: str
    http: str
    dsn: str
    found: bool


@contextmanager
def receiving(data: Path) -> Iterator[Receiving]:
    """A receiver on ``data``; one that we start is stopped afterwards. Raises ChildError."""
    found = running(data)
    dsn = running_dsn(data) if found else None
    if found and dsn:
        yield Receiving(found.grpc, found.http, dsn, found=True)
        return
    arguments = ["up", "--json", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data", str(data)]
    with Child("otelgres up", "otelgres.collector.cli.attached", arguments, os.environ) as child:
        said = child.line(_READY_SECONDS)
        if not {"grpc", "http", "dsn"} <= said.keys():
            raise ChildError(f"otelgres up said something else than expected: {said}")
        yield Receiving(said["grpc"], said["http"], said["dsn"], found=False)

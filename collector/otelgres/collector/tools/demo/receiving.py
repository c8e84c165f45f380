"""The receiver of the demo: the one that runs on the data folder, or a temporary one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from otelgres.collector.embedded.cluster import running_dsn
from otelgres.collector.service.runfile import running
from otelgres.collector.tools.demo.child import Child, ChildError

# Creating a new data folder takes a few seconds, more on a loaded machine.
_READY_SECONDS = 90.0


class Receiving(NamedTuple):
    """Addresses (``host:port`` and URL), the DSN, and whether the receiver had been running before."""

    grpc: str
    http: str
    dsn: str
    found: bool


@contextmanager
def receiving(data: Path) -> Iterator[Receiving]:
    """Yields a receiver on ``data``; one started here is stopped afterwards. Raises ChildError."""
    found = running(data)
    dsn = running_dsn(data) if found else None
    if found and dsn:
        yield Receiving(found.grpc, found.http, dsn, found=True)
        return
    arguments = ["up", "--json", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data", str(data)]
    with Child("otelgres up", "otelgres.collector.cli.attached", arguments, os.environ) as child:
        answer = child.line(_READY_SECONDS)
        if not {"grpc", "http", "dsn"} <= answer.keys():
            raise ChildError(f"unexpected output of otelgres up: {answer}")
        yield Receiving(answer["grpc"], answer["http"], answer["dsn"], found=False)

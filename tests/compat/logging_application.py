"""An application that logs, as a process: its configuration and what it does, what it printed, how its logging went."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tests.acceptance.receiver_process import environment
from tests.waiting import TIMEOUT

_FRAME = """
import json, logging, os, sys, threading, time
from otel_setup.logger import get_logger, initialize_logger, logging_status, shutdown_logging
result = {}
result["initialized"] = initialize_logger(json.loads(sys.argv[1]))
%s
result["in_time"] = shutdown_logging()
result["status"] = logging_status()
print("RESULT " + json.dumps(result, default=str), flush=True)
"""
QUIET = {"enabled": False}


class Application:
    """Runs ``body`` between the start and the end of logging. Context manager, which kills what is left."""

    def __init__(self, config: Any, body: str, **environ: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _FRAME % body, json.dumps(config)],
            env=environment(**environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.out = self.err = ""

    def __enter__(self) -> "Application":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def end(self, timeout: float = TIMEOUT) -> dict[str, Any]:
        """Closes its stdin, waits for its end, and returns its result."""
        self.out, self.err = self.process.communicate(timeout=timeout)
        assert self.process.returncode == 0, self.err
        (line,) = (line for line in self.out.splitlines() if line.startswith("RESULT "))
        found: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
        return found


def run(config: Any, body: str, **environ: str) -> tuple[dict[str, Any], str, str]:
    """The result of an application, and its stdout and stderr."""
    with Application(config, body, **environ) as application:
        return application.end(), application.out, application.err


def printed(out: str) -> "Counter[str]":
    """How often each message of logger ``w`` was printed as a last resort."""
    return Counter(re.findall(r"^\S+Z \w+ app w: (\S+) ", out, re.MULTILINE))


def into(dsn: str, *, console: Any = None, file: Path | None = None, **database: Any) -> dict[str, Any]:
    """A configuration that stores into ``dsn`` under prefix ``app``."""
    logging: dict[str, Any] = {"console": console or QUIET, "database": database}
    if file is not None:
        logging["file"] = {"enabled": True, "path": str(file)}
    return {"logging": logging, "database": {"dsn": dsn, "table_prefix": "app"}}

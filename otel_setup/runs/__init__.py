"""Runs: one execution of a program or job, told as a flow, with its phases, what it is about, and how it came out.

Everything logged and traced inside belongs to the run; relations ``log_events`` and ``execution_summary`` of schema
``compat`` show it. Refuses to know what a run does: terminals, regions and counts are fields like any other.
"""

from otel_setup.runs.configure import configure_run_logging
from otel_setup.runs.execution import Execution, Run, current_run, run
from otel_setup.runs.format import RunFormatter
from otel_setup.runs.handler import DatabaseLogHandler
from otel_setup.runs.metrics import LogMetricsCollector
from otel_setup.runs.scope import execution_context, run_phase

__all__ = [
    "DatabaseLogHandler",
    "Execution",
    "LogMetricsCollector",
    "Run",
    "RunFormatter",
    "configure_run_logging",
    "current_run",
    "execution_context",
    "run",
    "run_phase",
]

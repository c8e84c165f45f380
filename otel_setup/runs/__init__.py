"""Runs: one execution of a program or job, recorded as a flow with its phases, fields and outcome.

Everything logged and traced inside belongs to the run; relations ``log_events`` and ``execution_summary`` of schema
``compat`` show it.
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

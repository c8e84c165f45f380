"""Pipelines: the progress, events and metrics of experiments.

A pipeline has phases, phases have steps, steps have substeps. Each is a span and a node of the experiment's progress
(event ``otelgres.progress``). Relations of schema ``compat`` show them. All calls are thread-safe, never raise and
never wait.
"""

from otel_setup.pipelines.context import LoggingContext, current_context
from otel_setup.pipelines.events import pipeline_event, record_progress
from otel_setup.pipelines.logger import StructuredLogger, get_structured_logger
from otel_setup.pipelines.measure import metric
from otel_setup.pipelines.nodes import Node, phase, pipeline, step, substep
from otel_setup.pipelines.sampler import ResourceSampler

__all__ = [
    "LoggingContext",
    "Node",
    "ResourceSampler",
    "StructuredLogger",
    "current_context",
    "get_structured_logger",
    "metric",
    "phase",
    "pipeline",
    "pipeline_event",
    "record_progress",
    "step",
    "substep",
]

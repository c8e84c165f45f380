"""Pipelines: experiments that say how far they are, part by part, what happened in them and what they cost.

A pipeline has phases, those have steps, those have substeps: each is a span, whose start is recorded when it starts,
and a node of the experiment's progress (event ``otelgres.progress``). Relations of schema ``compat`` show them. Every
call may be made from any thread, never raises and never waits. Refuses to know what an experiment is about.
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

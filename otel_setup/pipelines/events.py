"""The events of a pipeline: the progress of its nodes, and anything else that happened."""

import logging
import uuid
from collections.abc import Mapping
from typing import Any, Final

from otel_setup.api.events import record_event
from otel_setup.api.values import text
from otel_setup.operations.never_raises import never_raises
from otel_setup.pipelines.context import EXPERIMENT_ID, EXPERIMENT_NAME, NODE_ID, current_context, experiment_uuid

PROGRESS: Final = "otelgres.progress"
EVENT: Final = "otelgres.pipeline"
_log = logging.getLogger("otel_setup")


@never_raises
def record_progress(
    node_id: str,
    *,
    percent: float | None = None,
    done: float | None = None,
    total: float | None = None,
    unit: str | None = None,
    status: str | None = None,
    message: str | None = None,
    parent_id: str | None = None,
    level: str | None = None,
    name: str | None = None,
    weight: float | None = None,
    parts: int | None = None,
    experiment_id: uuid.UUID | str | None = None,
    experiment_name: str | None = None,
    time_ns: int | None = None,
    **attributes: Any,
) -> None:
    """Records the progress of node ``node_id``: ``percent``, or ``done`` units of ``total``.

    Arguments not given keep their recorded values. ``status`` is pending, running, completed, failed, skipped or
    cancelled. ``parent_id`` makes it a part of that node with ``weight`` (1). ``parts`` is how many parts the node
    itself will have; those not started count 0. The default experiment is that of the context; without one, nothing is
    recorded. The latest ``time_ns`` (nanoseconds since 1970; None: now) wins, independent of the order of arrival.
    """
    given: dict[str, Any] = {
        NODE_ID: text(node_id),
        EXPERIMENT_NAME: experiment_name,
        "progress.percent": percent,
        "progress.done": done,
        "progress.total": total,
        "progress.unit": unit,
        "progress.status": status,
        "progress.parent_id": parent_id,
        "progress.level": level,
        "progress.name": name,
        "progress.weight": weight,
        "progress.parts": parts,
    }
    fields = attributes
    for key, value in given.items():
        if value is not None:
            fields[key] = value
    if experiment_id is not None:
        fields[EXPERIMENT_ID] = str(experiment_uuid(experiment_id))
    elif EXPERIMENT_ID not in current_context():
        _log.debug("progress of %s has no experiment: it is ignored", text(node_id))
        return
    record_event(PROGRESS, fields, body=None if message is None else text(message), time_ns=time_ns)


@never_raises
def pipeline_event(
    event_type: str,
    message: str | None = None,
    *,
    severity: str = "INFO",
    details: Mapping[str, Any] | None = None,
    experiment_id: uuid.UUID | str | None = None,
    time_ns: int | None = None,
    **attributes: Any,
) -> None:
    """Records an event of the pipeline. ``severity`` is a level name; ``details`` is any JSON mapping."""
    fields: dict[str, Any] = {**attributes, "pipeline.event_type": text(event_type)}
    if details:
        fields["pipeline.details"] = dict(details)
    if experiment_id is not None:
        fields[EXPERIMENT_ID] = str(experiment_uuid(experiment_id))
    record_event(EVENT, fields, body=None if message is None else text(message), severity=severity, time_ns=time_ns)

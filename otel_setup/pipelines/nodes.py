"""Pipelines, phases, steps and substeps as ``with``, ``async with`` and decorators.

Each is a span and a node of the experiment's progress.
"""

import asyncio
import itertools
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, cast

from opentelemetry import context

from otel_setup.api.context_managers import Decorator
from otel_setup.api.detach import detach
from otel_setup.api.exceptions import exception_attributes
from otel_setup.api.flows import SpanBlock, flow
from otel_setup.api.flows import phase as phase_span
from otel_setup.api.values import text
from otel_setup.pipelines.context import (
    EXPERIMENT_ID,
    EXPERIMENT_NAME,
    STAGE,
    LoggingContext,
    current_context,
    experiment_uuid,
    new_experiment,
)
from otel_setup.pipelines.events import pipeline_event, record_progress

_CURRENT: Final = context.create_key("otelgres_pipeline_node")
# Names become part of node ids, which are index keys.
_LONGEST_NAME: Final = 200
_CANCELLED: Final = (GeneratorExit, KeyboardInterrupt, asyncio.CancelledError)


class Node:
    """An open node, returned by ``with``. Thread-safe."""

    __slots__ = ("_done", "_error", "_units", "experiment_id", "level", "name", "node_id")

    def __init__(self, experiment_id: uuid.UUID, node_id: str, level: str, name: str) -> None:
        self.experiment_id = experiment_id
        self.node_id = node_id
        self.level = level
        self.name = name
        self._units = False
        self._done = itertools.count(1)
        # The exception of a part: it is reported once, by the part itself.
        self._error: BaseException | None = None

    def update(
        self,
        percent: float | None = None,
        *,
        done: float | None = None,
        total: float | None = None,
        unit: str | None = None,
        message: str | None = None,
        status: str | None = None,
        **attributes: Any,
    ) -> None:
        """Records the progress of this node; arguments as for ``record_progress``."""
        if done is not None:
            self._units = True
        record_progress(
            self.node_id, percent=percent, done=done, total=total, unit=unit, message=message, status=status,
            experiment_id=self.experiment_id, **attributes,
        )  # fmt: skip

    def advance(self, message: str | None = None, **attributes: Any) -> None:
        """One more unit is done, counted from 1. The total is that of ``units=`` or ``update(total=)``."""
        self.update(done=next(self._done), message=message, **attributes)


@dataclass(frozen=True, slots=True)
class _Given:
    level: str
    name: str
    node_id: str | None
    experiment_id: object
    experiment_name: str | None
    progress: Mapping[str, Any]
    attributes: Mapping[str, Any]


class NodeBlock(Decorator[Node]):
    """A node to open. Opening it again, or calling a decorated function, is the same node again."""

    def __init__(self, given: _Given) -> None:
        self._given = given
        self._open: list[tuple[Node, Node | None, LoggingContext, SpanBlock, object, int]] = []

    def __enter__(self) -> Node:
        """Starts the span and records the node as running."""
        given = self._given
        parent = cast("Node | None", context.get_value(_CURRENT))
        around = current_context()
        node = Node(_experiment(given, parent, around), _node_id(given, parent), given.level, given.name)
        if around.get(EXPERIMENT_ID) != str(node.experiment_id):
            around = {}
        carried = LoggingContext(
            node.experiment_id,
            given.experiment_name or around.get(EXPERIMENT_NAME) or (given.name if given.level == "pipeline" else None),
            node.node_id,
            # The stage is the name of the phase, also inside its steps.
            given.name if given.level == "phase" else around.get(STAGE),
        )
        carried.__enter__()
        scope = (flow if given.level == "pipeline" else phase_span)(given.name, **given.attributes)
        scope.__enter__()
        token = context.attach(context.set_value(_CURRENT, node))
        self._open.append((node, parent, carried, scope, token, os.getpid()))
        node._units = "done" in given.progress
        record_progress(
            node.node_id, status="running", level=given.level, name=given.name,
            parent_id=parent.node_id if parent is not None else None, **given.progress,
        )  # fmt: skip
        return node

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ends the node as completed, or as failed by an exception, which is not suppressed."""
        node, parent, carried, scope, token, pid = self._open.pop()
        # In a forked child the node is a copy: only the parent may end it.
        if pid == os.getpid():
            _end(node, parent, error)
        detach(token)
        scope.__exit__(kind, error, traceback)
        carried.__exit__(kind, error, traceback)

    def _copy(self) -> "NodeBlock":
        return NodeBlock(self._given)


def pipeline(
    name: str,
    experiment_id: uuid.UUID | str | None = None,
    experiment_name: str | None = None,
    *,
    parts: int | None = None,
    node_id: str | None = None,
    **attributes: Any,
) -> NodeBlock:
    """A pipeline: a flow in experiment ``experiment_id`` (None: that of the context, else a new one).

    ``parts`` is how many phases it will have, so that those not started count. The default ``experiment_name`` is that
    of the context, else ``name``. Attributes are added to the span.
    """
    return _scope("pipeline", name, node_id, attributes, experiment_id, experiment_name, parts=parts)


def phase(
    name: str,
    *,
    units: float | None = None,
    unit: str | None = None,
    parts: int | None = None,
    weight: float | None = None,
    node_id: str | None = None,
    **attributes: Any,
) -> NodeBlock:
    """A phase of the pipeline: ``units`` is the number of units to do, ``parts`` the number of steps it will have.

    ``node_id`` is ``parent/name`` unless given, so two parts with the same name and parent are one node.
    """
    return _scope("phase", name, node_id, attributes, total=units, unit=unit, parts=parts, weight=weight)


def step(
    name: str,
    *,
    units: float | None = None,
    unit: str | None = None,
    parts: int | None = None,
    weight: float | None = None,
    node_id: str | None = None,
    **attributes: Any,
) -> NodeBlock:
    """A step of a phase; arguments as for ``phase``."""
    return _scope("step", name, node_id, attributes, total=units, unit=unit, parts=parts, weight=weight)


def substep(
    name: str,
    *,
    units: float | None = None,
    unit: str | None = None,
    weight: float | None = None,
    node_id: str | None = None,
    **attributes: Any,
) -> NodeBlock:
    """A substep of a step; arguments as for ``phase``."""
    return _scope("substep", name, node_id, attributes, total=units, unit=unit, weight=weight)


def _scope(
    level: str,
    name: object,
    node_id: object,
    attributes: Mapping[str, Any],
    experiment_id: object = None,
    experiment_name: str | None = None,
    **progress: Any,
) -> NodeBlock:
    return NodeBlock(
        _Given(
            level=level,
            name=text(name)[:_LONGEST_NAME],
            node_id=None if node_id is None else text(node_id),
            experiment_id=experiment_id,
            experiment_name=experiment_name,
            progress={key: value for key, value in progress.items() if value is not None},
            attributes=attributes,
        )
    )


def _experiment(given: _Given, parent: Node | None, around: Mapping[str, Any]) -> uuid.UUID:
    if given.experiment_id is not None:
        return experiment_uuid(given.experiment_id)
    if parent is not None and given.level != "pipeline":
        return parent.experiment_id
    return experiment_uuid(around[EXPERIMENT_ID]) if EXPERIMENT_ID in around else new_experiment()


def _node_id(given: _Given, parent: Node | None) -> str:
    if given.node_id is not None:
        return given.node_id
    return given.name if parent is None else f"{parent.node_id}/{given.name}"


def _end(node: Node, parent: Node | None, error: BaseException | None) -> None:
    clean_exit = isinstance(error, SystemExit) and error.code in {None, 0}
    if error is None:
        # A node that counts units keeps its count even if it is not complete.
        node.update(None if node._units else 100, status="completed")
    elif clean_exit or isinstance(error, _CANCELLED):
        node.update(status="cancelled", message=type(error).__name__)
    else:
        fields = exception_attributes(error)
        message = f"{fields['exception.type']}: {fields['exception.message']}"
        node.update(status="failed", message=message)
        if node._error is not error:
            details = {
                "error_type": fields["exception.type"],
                "error_message": fields["exception.message"],
                "traceback": fields["exception.stacktrace"],
            }
            pipeline_event(f"{node.level}_failed", message, severity="ERROR", details=details)
        if parent is not None:
            parent._error = error
    node._error = None

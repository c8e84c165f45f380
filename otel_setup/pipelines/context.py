"""The current experiment, node and stage, added to every record, span and event inside a block."""

import uuid
from collections.abc import Mapping
from typing import Any, Final

from otel_setup.api.context_attributes import ContextAttributes, current_attributes
from otel_setup.api.ids import entropy, parse_flow_id
from otel_setup.api.values import text

EXPERIMENT_ID: Final = "experiment_id"
EXPERIMENT_NAME: Final = "experiment_name"
NODE_ID: Final = "node_id"
STAGE: Final = "stage"
_KEYS: Final = (EXPERIMENT_ID, EXPERIMENT_NAME, NODE_ID, STAGE)
_EXPERIMENTS: Final = uuid.uuid5(uuid.NAMESPACE_URL, "https://otelgres/experiments")


class LoggingContext(ContextAttributes):
    """A block (``with``, ``async with`` or decorator) that adds its arguments to everything recorded inside.

    ``experiment_id`` is a UUID or its text; from any other text a UUID is derived.
    """

    __slots__ = ()

    def __init__(
        self,
        experiment_id: uuid.UUID | str | None = None,
        experiment_name: str | None = None,
        node_id: str | None = None,
        stage: str | None = None,
        **more: Any,
    ) -> None:
        given: dict[str, Any] = {EXPERIMENT_NAME: experiment_name, NODE_ID: node_id, STAGE: stage, **more}
        if experiment_id is not None:
            given[EXPERIMENT_ID] = str(experiment_uuid(experiment_id))
            if experiment_name is None and parse_flow_id(experiment_id) is None:
                given[EXPERIMENT_NAME] = text(experiment_id)
        super().__init__({key: value for key, value in given.items() if value is not None})


def current_context() -> dict[str, Any]:
    """A copy of the current attributes; ``experiment_id`` as text."""
    return dict(current_attributes())


def metric_attributes() -> Mapping[str, Any]:
    """Those of the four attributes that are set here, for metrics."""
    found = current_attributes()
    return {key: found[key] for key in _KEYS if key in found} if found else found


def new_experiment() -> uuid.UUID:
    """A random UUID, without a system call for random bytes."""
    return uuid.UUID(int=entropy.getrandbits(128), version=4)


def experiment_uuid(value: object) -> uuid.UUID:
    """``value`` as a UUID; for other text, a UUID derived from it, always the same."""
    return parse_flow_id(value) or uuid.uuid5(_EXPERIMENTS, text(value))

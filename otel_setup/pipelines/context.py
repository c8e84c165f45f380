"""Which experiment, node and stage a piece of work belongs to, carried into every record, span and event made in it.

Refuses to know what is recorded.
"""

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
    """``with``, ``async with`` or decorator: everything recorded inside carries what is given here.

    ``experiment_id`` is a UUID or its text; any other text names an experiment, too, by a UUID made of it.
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
    """What is carried here; ``experiment_id`` as text."""
    return dict(current_attributes())


def carried() -> Mapping[str, Any]:
    """Those of the four that are carried here: what a metric says of itself."""
    found = current_attributes()
    return {key: found[key] for key in _KEYS if key in found} if found else found


def new_experiment() -> uuid.UUID:
    """A random one, without asking the system for its randomness."""
    return uuid.UUID(int=entropy.getrandbits(128), version=4)


def experiment_uuid(value: object) -> uuid.UUID:
    """The UUID that ``value`` is or says, else one that is always the same for its text."""
    return parse_flow_id(value) or uuid.uuid5(_EXPERIMENTS, text(value))

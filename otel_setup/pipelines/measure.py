"""Metrics of a pipeline: gauges that carry the experiment. Refuses to know when they are exported."""

import math
from typing import Any, Final, Protocol

from opentelemetry import metrics

from otel_setup.api.values import clean_mapping, text
from otel_setup.operations.never_raises import never_raises
from otel_setup.pipelines.context import carried

SCOPE: Final = "otel_setup.pipelines"


class Gauge(Protocol):
    """OpenTelemetry's synchronous gauge."""

    def set(self, amount: float, attributes: Any = None) -> None:
        """The latest value."""


# Instruments by name and unit: asking the SDK for one that is there costs more than setting it.
_gauges: dict[tuple[str, str], Gauge] = {}
# A name made up for each call must not fill the memory.
_MOST: Final = 1000
_PLAIN: Final = (str, bool, int, float)


@never_raises
def metric(name: str, value: float, unit: str = "1", **attributes: Any) -> None:
    """Sets gauge ``name`` (``throughput``, ``loss`` …) of the experiment, node and stage of the context.

    What is exported is the latest value at each ``metric_interval``; ``unit`` is UCUM (``{row}/s``, ``By``, ``ms``).
    A value that is no finite number is left out.
    """
    number = float(value)
    if not math.isfinite(number):
        return
    key = (text(name), text(unit))
    gauge = _gauges.get(key)
    if gauge is None:
        if len(_gauges) >= _MOST:
            _gauges.clear()
        gauge = _gauges[key] = metrics.get_meter(SCOPE).create_gauge(key[0], unit=key[1])
    # An attribute of a metric is part of a key: it must be hashable.
    own = {key: one if isinstance(one, _PLAIN) else text(one) for key, one in clean_mapping(attributes).items()}
    gauge.set(number, {**carried(), **own})

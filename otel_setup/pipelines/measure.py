"""Metrics of a pipeline: gauges with the attributes of the current experiment."""

import math
from typing import Any, Final, Protocol

from opentelemetry import metrics

from otel_setup.api.values import clean_mapping, text
from otel_setup.operations.never_raises import never_raises
from otel_setup.pipelines.context import metric_attributes

SCOPE: Final = "otel_setup.pipelines"


class Gauge(Protocol):
    """OpenTelemetry's synchronous gauge."""

    def set(self, amount: float, attributes: Any = None) -> None:
        """The latest value."""


# Instruments by name and unit: looking one up in the SDK costs more than setting it.
_gauges: dict[tuple[str, str], Gauge] = {}
# Limits memory for applications that generate metric names.
_MAX_GAUGES: Final = 1000
_PLAIN: Final = (str, bool, int, float)


@never_raises
def metric(name: str, value: float, unit: str = "1", **attributes: Any) -> None:
    """Sets gauge ``name`` (``throughput``, ``loss`` …) for the current experiment, node and stage.

    Each ``metric_interval`` exports the latest value. ``unit`` is UCUM (``{row}/s``, ``By``, ``ms``). A value that is
    not a finite number is ignored.
    """
    number = float(value)
    if not math.isfinite(number):
        return
    key = (text(name), text(unit))
    gauge = _gauges.get(key)
    if gauge is None:
        if len(_gauges) >= _MAX_GAUGES:
            _gauges.clear()
        gauge = _gauges[key] = metrics.get_meter(SCOPE).create_gauge(key[0], unit=key[1])
    # Attributes of a metric are used as a key and must be hashable.
    own = {key: one if isinstance(one, _PLAIN) else text(one) for key, one in clean_mapping(attributes).items()}
    gauge.set(number, {**metric_attributes(), **own})

"""Who is speaking: the resource that every span, log record and metric of this process carries.

Precedence, weakest first: what is found here, detectors and ``OTEL_*`` variables, the caller's attributes. Refuses to
know providers and exporters.
"""

import os
import platform
import socket
import sys
import uuid
from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.sdk.resources import Resource

from otel_setup.api.values import clean_mapping
from otel_setup.config.version import installed_version


class HashedResource(Resource):
    """A resource that computes its hash once: the SDK's encoders hash it for every item, 5 µs of JSON each time."""

    _hash: int | None = None

    def __hash__(self) -> int:
        """The SDK's hash, kept."""
        if self._hash is None:
            self._hash = super().__hash__()
        return self._hash

    __eq__ = Resource.__eq__

    def merge(self, other: Resource) -> "HashedResource":
        """The SDK's merge, of this class, so that the resource a fork gets is as cheap."""
        merged = super().merge(other)
        return HashedResource(merged.attributes, merged.schema_url)

    def replace(self, other: Resource) -> None:
        """Becomes ``other`` in place, for everybody who holds this object."""
        vars(self).update(vars(other), _hash=None)


_INSTANCE: Final = "service.instance.id"


class _Instance:
    """The id of this process, for releases of the SDK before 1.44, which make none."""

    id = ""


def describe_process(attributes: Mapping[str, Any]) -> Resource:
    """The resource of this process with ``attributes`` on top; ``service.instance.id`` is random unless it is given."""
    found = HashedResource(
        {
            "host.name": socket.gethostname(),
            "process.runtime.name": sys.implementation.name,
            "process.runtime.version": platform.python_version(),
            "process.runtime.description": sys.version,
            "telemetry.distro.name": "otelgres",
            "telemetry.distro.version": installed_version(),
            **_identity(),
        }
    )
    return found.merge(Resource.create(clean_mapping(attributes)))


def renewed_identity(inherited: Resource) -> dict[str, Any]:
    """The attributes that a forked child changes in the resource it inherited, unless the SDK has done so."""
    made = _Instance.id
    renewed = _identity()
    if inherited.attributes.get(_INSTANCE) != made:
        del renewed[_INSTANCE]
    return renewed


def _identity() -> dict[str, Any]:
    _Instance.id = str(uuid.uuid4())
    return {"process.pid": os.getpid(), _INSTANCE: _Instance.id}

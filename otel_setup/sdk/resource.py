"""The resource of this process, part of every span, log record and metric.

Precedence, lowest first: the attributes found here, detectors and ``OTEL_*`` variables, the caller's attributes.
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
    """A resource that computes its hash once: the SDK's encoders hash it for every item, at 5 µs each."""

    _hash: int | None = None

    def __hash__(self) -> int:
        """The SDK's hash, cached."""
        if self._hash is None:
            self._hash = super().__hash__()
        return self._hash

    __eq__ = Resource.__eq__

    def merge(self, other: Resource) -> "HashedResource":
        """The SDK's merge, but returns this class, so that the resource after a fork is cached too."""
        merged = super().merge(other)
        return HashedResource(merged.attributes, merged.schema_url)

    def replace(self, other: Resource) -> None:
        """Changes this object to ``other`` in place, for all references to it."""
        vars(self).update(vars(other), _hash=None)


_INSTANCE: Final = "service.instance.id"


class _Instance:
    """The id of this process, for releases of the SDK before 1.44, which create none."""

    id = ""


def describe_process(attributes: Mapping[str, Any]) -> Resource:
    """The resource of this process, overridden by ``attributes``; ``service.instance.id`` is random unless given."""
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
    """The attributes that a forked child changes in the inherited resource, except those the SDK has renewed."""
    made = _Instance.id
    renewed = _identity()
    if inherited.attributes.get(_INSTANCE) != made:
        del renewed[_INSTANCE]
    return renewed


def _identity() -> dict[str, Any]:
    _Instance.id = str(uuid.uuid4())
    return {"process.pid": os.getpid(), _INSTANCE: _Instance.id}

"""Who is speaking: the resource that every span, log record and metric of this process carries.

Precedence, weakest first: what is found here, detectors and ``OTEL_*`` variables, the caller's attributes. Refuses to
know providers and exporters.
"""

import importlib.metadata
import os
import platform
import socket
import sys
from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.resources import Resource

from otel_setup.api.values import clean_mapping


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


def describe_process(attributes: Mapping[str, Any]) -> Resource:
    """The resource of this process with ``attributes`` on top; ``service.instance.id`` is the SDK's, random."""
    found = HashedResource(
        {
            "host.name": socket.gethostname(),
            "process.runtime.name": sys.implementation.name,
            "process.runtime.version": platform.python_version(),
            "process.runtime.description": sys.version,
            "telemetry.distro.name": "otelgres",
            "telemetry.distro.version": _version(),
            **process_identity(),
        }
    )
    return found.merge(Resource.create(clean_mapping(attributes)))


def process_identity() -> dict[str, Any]:
    """The attributes that a fork changes, beside ``service.instance.id``, which the SDK renews by itself."""
    return {"process.pid": os.getpid()}


def _version() -> str:
    try:
        return importlib.metadata.version("otelgres")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"

"""The resource of this process, part of every span, log record and metric.

Precedence, lowest first: the attributes found here, detectors and ``OTEL_*`` variables, the caller's attributes.
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


def describe_process(attributes: Mapping[str, Any]) -> Resource:
    """The resource of this process, overridden by ``attributes``; the SDK adds a random ``service.instance.id``."""
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
    """The attributes that change in a fork, except ``service.instance.id``, which the SDK renews."""
    return {"process.pid": os.getpid()}


def _version() -> str:
    try:
        return importlib.metadata.version("otelgres")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"

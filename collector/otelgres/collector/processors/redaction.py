"""The redaction processor: removes secrets from requests, by the same rules as in the library.

It is off by default, because every request must then be parsed and serialised again.
"""

import re
from pathlib import Path

import yaml
from google.protobuf.message import DecodeError

from otelgres.collector.outcomes import Reason, Rejected
from otelgres.collector.processors.slicing import Slicer
from otelgres.collector.telemetry.rejections import RejectionCounters
from otelgres.exporters.batch import Batch
from otelgres.exporters.outcome import Invalid
from otelgres.exporters.raw_messages import request_class
from otelgres.exporters.redaction import Redaction, rules
from otelgres.exporters.redaction_walk import MessageRedactor


def load_redaction(setting: str) -> Redaction | None:
    """The rules of the setting ``redact``: ``defaults``, a YAML file, or none. Raises ValueError."""
    if setting in ("", "off"):
        return None
    if setting == "defaults":
        return Redaction()
    try:
        given = yaml.safe_load(Path(setting).read_text(encoding="utf-8"))
        return rules(given if isinstance(given, dict) else {"keys, values or defaults are missing": True})
    except (OSError, ValueError, yaml.YAMLError, re.error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error).splitlines()[0]
        raise ValueError(f"redact must be defaults, off, or a file of rules; {setting}: {reason}.") from None


class RedactionProcessor:
    """Redacts one batch at a time in a thread, so that a large one does not block the event loop."""

    def __init__(self, rules: Redaction, rejections: RejectionCounters) -> None:
        self._redactor = Redactor(rules)
        self._rejections = rejections
        self._slicer = Slicer(at_once=1)

    async def process(self, batch: Batch, tenant: str | None) -> Batch:
        """The redacted batch; the rules are the same for every ``tenant``, who is told of the loss. Raises Rejected."""
        count = 0

        def redacted(part: Batch) -> Batch:
            nonlocal count
            part, changed = self._redactor.redacted(part)
            count += changed
            return part

        batch = await self._slicer.changed(batch, redacted)
        if count:
            self._rejections.add("redaction", batch.signal, "redacted", count=count, effect="repaired", tenant=tenant)
        return batch


class Redactor:
    """Redacts requests by ``rules``. Not thread-safe."""

    def __init__(self, rules: Redaction) -> None:
        self._messages = MessageRedactor(rules)

    def redacted(self, batch: Batch) -> tuple[Batch, int]:
        """The redacted batch and the number of changes. Raises Rejected if it is not a request of its signal."""
        # With strings as bytes: one that is not UTF-8 must not keep the rest of the request from being looked at.
        try:
            request = request_class(batch.signal).FromString(batch.payload)
        except DecodeError as error:
            malformed = Invalid(f"the body is not an OTLP {batch.signal} request: {error}")
            raise Rejected(Reason.MALFORMED, malformed) from None
        count = self._messages.redact(request)
        if not count:
            return batch, 0
        return Batch(batch.signal, request.SerializeToString(deterministic=True)), count

"""Alerts by HTTP POST, in the form in which Prometheus' Alertmanager posts them, so that what takes those takes these.

Refuses to know when somebody is to be told.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from otelgres.collector.inspect.alerts.state import ActiveAlert

_PAUSES: Final = (0.5, 2.0)
_SECONDS: Final = 10.0
_COME_BACK: Final = {408, 425, 429}


class NotDelivered(Exception):  # noqa: N818 (what the operator reads)
    """Nobody was told; the message says why."""


class Webhook:
    """One receiver of alerts. ``url`` is http or https; ``headers`` may hold a secret and are never shown."""

    def __init__(self, url: str, headers: Mapping[str, str], wait: Callable[[float], None]) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError("the webhook must be a URL that begins with http:// or https://")
        self._url = url
        self._headers = {"Content-Type": "application/json", "User-Agent": "otelgres", **headers}
        self._wait = wait

    def post(self, alerts: Sequence[ActiveAlert]) -> None:
        """Posts them together; tries again after errors that may pass. Raises NotDelivered."""
        body = json.dumps(message(alerts)).encode()
        for pause in (*_PAUSES, None):
            try:
                self._post(body)
            except urllib.error.HTTPError as error:
                reason, passing = f"answered {error.code}", error.code >= 500 or error.code in _COME_BACK
                error.close()
            except OSError as error:
                reason, passing = str(getattr(error, "reason", error)), True
            else:
                return
            if not passing or pause is None:
                raise NotDelivered(f"the webhook {reason}")
            self._wait(pause)

    def _post(self, body: bytes) -> None:
        request = urllib.request.Request(self._url, body, self._headers)  # noqa: S310 (checked above)
        # Redirects would carry the secret to wherever they point.
        opener = urllib.request.build_opener(_NoRedirects)
        with opener.open(request, timeout=_SECONDS) as answer:
            answer.read(65536)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def message(alerts: Sequence[ActiveAlert]) -> dict[str, Any]:
    """What is posted."""
    return {
        "version": "4",
        "status": "resolved" if all(held.ended for held in alerts) else "firing",
        "receiver": "otelgres",
        "alerts": [
            {
                "status": "resolved" if held.ended else "firing",
                "labels": {"alertname": held.rule, "subject": held.subject, "severity": held.severity},
                "annotations": {"summary": held.summary, "runbook": held.runbook},
                "value": held.value,
                "threshold": held.threshold,
                "startsAt": held.since,
                "endsAt": held.ended,
                "fingerprint": held.key,
            }
            for held in alerts
        ],
    }

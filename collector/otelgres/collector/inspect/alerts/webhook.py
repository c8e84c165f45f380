"""Sends alerts by HTTP POST, in the webhook format of Prometheus' Alertmanager."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from otelgres.collector.inspect.alerts.state import ActiveAlert

_PAUSES: Final = (0.5, 2.0)
_SECONDS: Final = 10.0
_RETRYABLE: Final = {408, 425, 429}


class NotDelivered(Exception):  # noqa: N818 (what the operator reads)
    """The webhook did not accept the alerts; the message has the reason."""


class Webhook:
    """A webhook. ``url`` is http or https; ``headers`` may contain a secret and are never printed."""

    def __init__(self, url: str, headers: Mapping[str, str], wait: Callable[[float], None]) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError("the webhook must be a URL that starts with http:// or https://")
        self._url = url
        self._headers = {"Content-Type": "application/json", "User-Agent": "otelgres", **headers}
        self._wait = wait

    def post(self, alerts: Sequence[ActiveAlert]) -> None:
        """Posts the alerts in one request; retries transient errors. Raises NotDelivered."""
        body = json.dumps(message(alerts)).encode()
        for pause in (*_PAUSES, None):
            try:
                self._post(body)
            except urllib.error.HTTPError as error:
                reason, transient = f"answered {error.code}", error.code >= 500 or error.code in _RETRYABLE
                error.close()
            except OSError as error:
                reason, transient = str(getattr(error, "reason", error)), True
            else:
                return
            if not transient or pause is None:
                raise NotDelivered(f"the webhook {reason}")
            self._wait(pause)

    def _post(self, body: bytes) -> None:
        request = urllib.request.Request(self._url, body, self._headers)  # noqa: S310 (checked above)
        # A redirect would send the secret headers to another server.
        opener = urllib.request.build_opener(_NoRedirects)
        with opener.open(request, timeout=_SECONDS) as answer:
            answer.read(65536)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def message(alerts: Sequence[ActiveAlert]) -> dict[str, Any]:
    """The body of the request."""
    return {
        "version": "4",
        "status": "resolved" if all(alert.ended for alert in alerts) else "firing",
        "receiver": "otelgres",
        "alerts": [
            {
                "status": "resolved" if alert.ended else "firing",
                "labels": {"alertname": alert.rule, "subject": alert.subject, "severity": alert.severity},
                "annotations": {"summary": alert.summary, "runbook_url": alert.runbook},
                "value": alert.value,
                "threshold": alert.threshold,
                "startsAt": alert.since,
                "endsAt": alert.ended,
                "fingerprint": alert.key,
            }
            for alert in alerts
        ],
    }

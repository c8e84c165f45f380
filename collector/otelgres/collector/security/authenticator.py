"""The guard at a door: a request's headers in, a principal or a refusal out. One for both transports.

A token that is good is let in at once, whatever its peer's other requests did; only failures are counted. Refuses to
know sockets, status codes, and which request needs which scope.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from otelgres.collector.security.auth_failures import AuthFailureCounts, PermissionDenied, Reason, Unauthenticated
from otelgres.collector.security.auth_throttle import AuthThrottle
from otelgres.collector.security.principal import Principal
from otelgres.collector.security.token_file import TokenFile
from otelgres.collector.security.tokens import TokenScope
from otelgres.exporters.outcome import Overloaded

_log = logging.getLogger(__name__)

_SLOW_DOWN_SECONDS: Final = 3.0
_LOG_SECONDS: Final = 60.0
_LOG_LINES: Final = 20
_ASK: Final = "send `Authorization: Bearer <token>` or `x-api-key: <token>`"

Verdict = Principal | Unauthenticated | PermissionDenied | Overloaded


class Authenticator:
    """Lets in who shows a good token. Made for one thread: the loop that serves."""

    def __init__(
        self,
        tokens: TokenFile,
        auth_failures: AuthFailureCounts,
        *,
        failures: AuthThrottle | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens = tokens
        self._auth_failures = auth_failures
        self._failures = AuthThrottle() if failures is None else failures
        self._clock = clock
        self._log_since = clock()
        self._log_lines = 0

    def admit(self, authorization: str | None, api_key: str | None, scope: TokenScope, address: str) -> Verdict:
        """Decides on the values of the two headers (None: not sent) of a request from the IP ``address``.

        ``Overloaded`` asks a peer that failed too often to come back later: a sender with a wrong token then keeps its
        data for a while instead of throwing it away, which is what it does with ``Unauthenticated``.
        """
        shown = _shown(authorization, api_key)
        if shown is None:
            return self._refused(Reason.NO_TOKEN, address, Unauthenticated(f"a token is needed: {_ASK}", shown=False))
        token = self._tokens.find(shown)
        if token is None:
            return self._refused(Reason.UNKNOWN_TOKEN, address, Unauthenticated("the token is not valid", shown=True))
        name = token.principal.name
        if token.expires is not None and token.expires <= datetime.now(UTC):
            answer = Unauthenticated("the token has expired", shown=True)
            return self._refused(Reason.EXPIRED_TOKEN, address, answer, name)
        if scope not in token.scopes:
            return self._refused(
                Reason.WRONG_SCOPE, address, PermissionDenied(f"the token is not for this: it needs {scope}"), name
            )
        return token.principal

    def _refused(
        self, reason: Reason, address: str, answer: Unauthenticated | PermissionDenied, name: str = ""
    ) -> Verdict:
        failures = self._failures.add(address)
        if self._failures.too_many(failures):
            self._auth_failures.add(Reason.TOO_MANY_FAILURES)
            return Overloaded(
                _SLOW_DOWN_SECONDS, f"too many refused requests from this address; last: {answer.message}"
            )
        self._auth_failures.add(reason)
        if failures == 1:
            self._log_rejection(reason, address, name)
        return answer

    def _log_rejection(self, reason: Reason, address: str, name: str) -> None:
        now = self._clock()
        if now - self._log_since >= _LOG_SECONDS:
            self._log_since, self._log_lines = now, 0
        self._log_lines += 1
        if self._log_lines <= _LOG_LINES:
            whose = f" ({name!r})" if name else ""
            _log.warning("refused a request from %s: %s%s; more from there are only counted", address, reason, whose)


def _shown(authorization: str | None, api_key: str | None) -> bytes | None:
    if authorization is not None:
        scheme, _, text = authorization.partition(" ")
        if scheme.lower() == "bearer" and text.strip():
            return text.strip().encode("utf-8", "replace")
    # A proxy may use Authorization for itself.
    if api_key is not None and api_key.strip():
        return api_key.strip().encode("utf-8", "replace")
    return None

"""Authentication for both transports: what a request shows in, its principal out.

A valid token is let in at once, whatever its peer's other requests did; only failures count against a peer.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from otelgres.collector.outcomes import PermissionDenied, Reason, Rejected, Unauthenticated
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


class Credentials(NamedTuple):
    """What a request shows: the values of two headers (None: not sent), and the IP address that it comes from."""

    authorization: str | None
    api_key: str | None
    address: str


class Authenticator:
    """Lets in who shows a valid token. Made for one thread: the loop that serves."""

    def __init__(
        self,
        tokens: TokenFile,
        *,
        failures: AuthThrottle | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens = tokens
        self._failures = AuthThrottle() if failures is None else failures
        self._clock = clock
        self._log_since = clock()
        self._log_lines = 0

    def admit(self, credentials: Credentials, scope: TokenScope) -> Principal:
        """Whose token it is. Raises Rejected.

        A peer that failed too often is asked to retry later (``Overloaded``): a sender with a wrong token then
        keeps its data for a while instead of dropping it, which is what it does with ``Unauthenticated``.
        """
        address = credentials.address
        shown = _shown(credentials.authorization, credentials.api_key)
        if shown is None:
            raise self._rejected(Reason.NO_TOKEN, address, Unauthenticated(f"a token is needed: {_ASK}", shown=False))
        token = self._tokens.find(shown)
        if token is None:
            raise self._rejected(Reason.UNKNOWN_TOKEN, address, Unauthenticated("the token is not valid", shown=True))
        name = token.principal.name
        if token.expires is not None and token.expires <= datetime.now(UTC):
            answer = Unauthenticated("the token has expired", shown=True)
            raise self._rejected(Reason.EXPIRED_TOKEN, address, answer, name)
        if scope not in token.scopes:
            denied = PermissionDenied(f"the token is not for this: it needs {scope}")
            raise self._rejected(Reason.WRONG_SCOPE, address, denied, name)
        return token.principal

    def _rejected(
        self, reason: Reason, address: str, answer: Unauthenticated | PermissionDenied, name: str = ""
    ) -> Rejected:
        failures = self._failures.add(address)
        if self._failures.too_many(failures):
            return Rejected(
                Reason.TOO_MANY_FAILURES,
                Overloaded(_SLOW_DOWN_SECONDS, f"too many rejected requests from this address; last: {answer.message}"),
            )
        if failures == 1:
            self._log_failure(reason, address, name)
        return Rejected(reason, answer)

    def _log_failure(self, reason: Reason, address: str, name: str) -> None:
        now = self._clock()
        if now - self._log_since >= _LOG_SECONDS:
            self._log_since, self._log_lines = now, 0
        self._log_lines += 1
        if self._log_lines <= _LOG_LINES:
            whose = f" ({name!r})" if name else ""
            _log.warning("rejected a request from %s: %s%s; more from there are only counted", address, reason, whose)


def _shown(authorization: str | None, api_key: str | None) -> bytes | None:
    if authorization is not None:
        scheme, _, text = authorization.partition(" ")
        if scheme.lower() == "bearer" and text.strip():
            return text.strip().encode("utf-8", "replace")
    # A proxy may use Authorization for itself.
    if api_key is not None and api_key.strip():
        return api_key.strip().encode("utf-8", "replace")
    return None

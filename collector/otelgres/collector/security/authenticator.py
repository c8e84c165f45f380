"""Authentication for both transports: returns the principal of a request's credentials.

A valid token is always accepted, even from a peer with failed requests.
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
    """The credentials of a request: the values of two headers (None: not sent), and the client's IP address."""

    authorization: str | None
    api_key: str | None
    address: str


class Authenticator:
    """Accepts requests with a valid token. For use in the event loop only."""

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
        """The principal of the token. Raises Rejected.

        A peer with too many failures is told to retry later (``Overloaded``): a client with a wrong token then keeps
        its data for a while, instead of dropping it as after ``Unauthenticated``.
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
            denied = PermissionDenied(f"the token does not have the scope {scope}")
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
            _log.warning(
                "rejected a request from %s: %s%s; further rejections from this address are only counted",
                address,
                reason,
                whose,
            )


def _shown(authorization: str | None, api_key: str | None) -> bytes | None:
    if authorization is not None:
        scheme, _, text = authorization.partition(" ")
        if scheme.lower() == "bearer" and text.strip():
            return text.strip().encode("utf-8", "replace")
    # A proxy may use the Authorization header itself.
    if api_key is not None and api_key.strip():
        return api_key.strip().encode("utf-8", "replace")
    return None

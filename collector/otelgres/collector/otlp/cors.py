"""CORS headers for browser clients, from an allow-list of origins. Off if the list is empty."""

import re
from collections.abc import Iterable
from typing import Final

Header = tuple[bytes, bytes]

_ALWAYS_ALLOWED: Final = ("content-type", "content-encoding")
# Only a valid list of header names may be copied into a response header.
_HEADER_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+(?:[ \t]*,[ \t]*[A-Za-z0-9!#$%&'*+.^_`|~-]+)*")


class Cors:
    """The policy of one receiver. ``origins`` as sent by browsers (``https://app.example``), or ``*`` for any."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origin.strip().rstrip("/").lower().encode() for origin in origins)
        self.enabled = bool(self._origins)

    def headers(self, origin: bytes | None) -> tuple[Header, ...]:
        """The headers for any response, errors included, so that the page can read the error."""
        if not self.enabled:
            return ()
        vary = (b"vary", b"Origin")
        if origin is None:
            return (vary,)
        expose = (b"access-control-expose-headers", b"Retry-After")
        if origin.lower() in self._origins:
            # sendBeacon always sends credentials, for which browsers require this header.
            credentials = (b"access-control-allow-credentials", b"true")
            return (vary, (b"access-control-allow-origin", origin), credentials, expose)
        if b"*" in self._origins:
            return (vary, (b"access-control-allow-origin", b"*"), expose)
        return (vary,)

    def preflight_headers(self, requested: bytes | None) -> tuple[Header, ...]:
        """The headers of a preflight's 204; ``requested`` is its Access-Control-Request-Headers."""
        allowed = ", ".join(_ALWAYS_ALLOWED).encode()
        if requested is not None and len(requested) <= 1024 and _HEADER_NAMES.fullmatch(requested.strip()):
            allowed += b", " + requested.strip()
        return (
            (b"access-control-allow-methods", b"POST"),
            (b"access-control-allow-headers", allowed),
            # Browsers limit this themselves; without it every export needs two requests.
            (b"access-control-max-age", b"7200"),
        )

"""Which browser pages may send: the CORS headers for a request, from an allow-list of origins. Off when it is empty.

Refuses to know routes, servers, and everything about the request but three of its headers.
"""

import re
from collections.abc import Iterable
from typing import Final

Header = tuple[bytes, bytes]

_ALWAYS_ALLOWED: Final = ("content-type", "content-encoding")
# What is echoed into a response header must be a list of header names and nothing else.
_HEADER_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+(?:[ \t]*,[ \t]*[A-Za-z0-9!#$%&'*+.^_`|~-]+)*")


class Cors:
    """The policy of one receiver. ``origins`` as browsers send them (``https://app.example``), or ``*`` for any."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origin.strip().rstrip("/").lower().encode() for origin in origins)
        self.enabled = bool(self._origins)

    def headers(self, origin: bytes | None) -> tuple[Header, ...]:
        """For any response; errors too, or the page could not read why it was refused."""
        if not self.enabled:
            return ()
        vary = (b"vary", b"Origin")
        if origin is None:
            return (vary,)
        expose = (b"access-control-expose-headers", b"Retry-After")
        if origin.lower() in self._origins:
            # sendBeacon always comes with credentials, and the browser then asks for this header.
            credentials = (b"access-control-allow-credentials", b"true")
            return (vary, (b"access-control-allow-origin", origin), credentials, expose)
        if b"*" in self._origins:
            return (vary, (b"access-control-allow-origin", b"*"), expose)
        return (vary,)

    def preflight_headers(self, requested: bytes | None) -> tuple[Header, ...]:
        """What a preflight's 204 adds; ``requested`` is its Access-Control-Request-Headers."""
        allowed = ", ".join(_ALWAYS_ALLOWED).encode()
        if requested is not None and len(requested) <= 1024 and _HEADER_NAMES.fullmatch(requested.strip()):
            allowed += b", " + requested.strip()
        return (
            (b"access-control-allow-methods", b"POST"),
            (b"access-control-allow-headers", allowed),
            # Browsers cap this themselves; without it every export would cost two requests.
            (b"access-control-max-age", b"7200"),
        )

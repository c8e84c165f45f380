"""Headers as gRPC metadata. A module of its own: settings check headers, and need no more of gRPC."""

import base64
import re
from collections.abc import Mapping
from typing import Final

_NAME: Final = re.compile(r"[0-9a-z_.-]+")
# Set by us, or not allowed in HTTP/2.
_RESERVED: Final = frozenset(
    {"connection", "content-type", "host", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"}
)


def is_sendable(name: str, value: str) -> bool:
    """Whether gRPC can send the header; ``name`` in lower case."""
    allowed = _NAME.fullmatch(name) and name not in _RESERVED and not name.startswith("grpc-")
    return bool(allowed) and (name.endswith("-bin") or (value.isascii() and value.isprintable()))


def metadata(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """The headers as fields of HTTP/2. Raises ValueError with the name of one that cannot be sent."""
    fields = []
    for given, text in headers.items():
        name, value = given.lower(), text.strip()
        if not is_sendable(name, value):
            raise ValueError(f"header {given!r} has a name or value that gRPC cannot send: remove it")
        sent = base64.b64encode(value.encode()).rstrip(b"=") if name.endswith("-bin") else value.encode()
        fields.append((name.encode(), sent))
    return fields

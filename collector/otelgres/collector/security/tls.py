"""Certificates for both listeners, reloaded for the next connection when their files change.

At least TLS 1.2; with a client CA, clients need a certificate signed by it. If changed files cannot be loaded, the
error is logged and the old certificates stay in use.
"""

import logging
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc  # type: ignore[import-untyped]

_log = logging.getLogger(__name__)

# A certificate and its key are two files, renewed one after the other: a pair that does not match is read again for
# the next connection.
_Stamps = tuple[tuple[int, int, int] | None, ...]
_ALPN: Final = ["http/1.1"]


class TlsUnusable(ValueError):  # noqa: N818 (named for what the operator is told)
    """The files cannot be used for TLS; the message names them and says why."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the chain, its key, and the CA of client certificates (None: clients need none)."""

    cert: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class _Loaded:
    context: ssl.SSLContext
    grpc: Any


class Certificates:
    """The current certificates. Thread-safe. The constructor raises TlsUnusable."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._seen = _stamps(files)
        self._last_error = ""
        self._loaded = _load(files)

    def grpc_credentials(self) -> Any:
        """The credentials for ``add_secure_port`` of one server."""
        given = self._reload_if_changed()

        def change() -> Any:
            # grpc calls this before each handshake and expects None if nothing has changed.
            nonlocal given
            loaded = self._reload_if_changed()
            if loaded is given:
                return None
            given = loaded
            return loaded.grpc

        return grpc.dynamic_ssl_server_credentials(
            given.grpc, change, require_client_authentication=self._files.client_ca is not None
        )

    def http_context(self) -> ssl.SSLContext:
        """The context for asyncio's servers; it can only wrap connections."""
        context = _CurrentContext(ssl.PROTOCOL_TLS_SERVER)
        context.certificates = self
        return context

    def current(self) -> ssl.SSLContext:
        """The context for the next connection."""
        return self._reload_if_changed().context

    def _reload_if_changed(self) -> _Loaded:
        with self._lock:
            stamps = _stamps(self._files)
            if stamps != self._seen:
                try:
                    self._loaded = _load(self._files)
                except TlsUnusable as error:
                    if str(error) != self._last_error:
                        self._last_error = str(error)
                        _log.error("%s. The previous certificate stays in use", error)
                else:
                    self._seen, self._last_error = stamps, ""
                    _log.info("%s was reloaded", self._files.cert)
            return self._loaded


class _CurrentContext(ssl.SSLContext):
    # A listening server keeps its context, from which neither a CA nor a certificate whose key does not match can be
    # removed. So each connection is wrapped by the newest valid context.
    certificates: Certificates

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        return self.certificates.current().wrap_bio(*args, **kwargs)


def _load(files: TlsFiles) -> _Loaded:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(_ALPN)
    try:
        context.load_cert_chain(files.cert, files.key, password=_no_password)
    except (OSError, ValueError) as error:
        # Also for an encrypted key: otherwise OpenSSL would prompt for the password on the terminal.
        raise TlsUnusable(f"tls_cert {files.cert} and tls_key {files.key} cannot be used: {_reason(error)}") from None
    client_ca = None
    if files.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(files.client_ca)
            client_ca = files.client_ca.read_bytes()
        except OSError as error:
            raise TlsUnusable(f"tls_client_ca {files.client_ca} cannot be used: {_reason(error)}") from None
    pair = (files.key.read_bytes(), files.cert.read_bytes())
    return _Loaded(context, grpc.ssl_server_certificate_configuration([pair], root_certificates=client_ca))


def _no_password() -> bytes:
    raise ValueError("the key is encrypted; use a decrypted key that only its owner can read")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "not PEM").replace("_", " ").lower()
        return "they do not match" if reason == "key values mismatch" else reason
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)


def _stamps(files: TlsFiles) -> _Stamps:
    return tuple(_stamp(path) for path in (files.cert, files.key, files.client_ca) if path is not None)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino

"""Certificates for both listeners, loaded again for the next connection when their files change.

TLS 1.2 at least; with a CA for clients, none comes in without a certificate of it. Files that cannot be loaded after a
change leave the certificates as they were, and the log says so. Refuses to know what is served.
"""

import logging
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc  # type: ignore[import-untyped]

_log = logging.getLogger(__name__)

# A certificate and its key are two files, renewed one after the other: a pair that does not fit is looked at again with
# the next connection.
_Stamps = tuple[tuple[int, int, int] | None, ...]
_ALPN: Final = ["http/1.1"]


class TlsUnusable(ValueError):  # noqa: N818 (named for what the operator is told)
    """The files cannot be used for TLS; the message names them and says why."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the chain, its key, and the CA whose certificates clients must show (None: they need none)."""

    cert: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class _Loaded:
    context: ssl.SSLContext
    grpc: Any


class Certificates:
    """What the files hold now. Raises TlsUnusable when made. Both doors ask from threads of their own."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._seen = _stamps(files)
        self._told = ""
        self._loaded = _load(files)
        self._of_grpc = self._loaded

    def grpc_credentials(self) -> Any:
        """For ``add_secure_port``."""
        return grpc.dynamic_ssl_server_credentials(
            self._of_grpc.grpc, self._grpc_change, require_client_authentication=self._files.client_ca is not None
        )

    def http_context(self) -> ssl.SSLContext:
        """For asyncio's servers; only for wrapping connections."""
        context = _CurrentContext(ssl.PROTOCOL_TLS_SERVER)
        context.certificates = self
        return context

    def current(self) -> ssl.SSLContext:
        """The context for the next connection."""
        return self._look().context

    def _grpc_change(self) -> Any:
        # grpc asks before each handshake and wants None when nothing changed since it asked last.
        loaded = self._look()
        if loaded is self._of_grpc:
            return None
        self._of_grpc = loaded
        return loaded.grpc

    def _look(self) -> _Loaded:
        with self._lock:
            stamps = _stamps(self._files)
            if stamps != self._seen:
                try:
                    self._loaded = _load(self._files)
                except TlsUnusable as error:
                    if str(error) != self._told:
                        self._told = str(error)
                        _log.error("%s. The certificate loaded before stays in use", error)
                else:
                    self._seen, self._told = stamps, ""
                    _log.info("%s was loaded again", self._files.cert)
            return self._loaded


class _CurrentContext(ssl.SSLContext):
    # A listening server keeps the context it was started with, and a context can neither lose a CA again nor take back
    # a certificate whose key does not fit. So each connection is wrapped by the newest context that is whole.
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
        # Also when the key is encrypted: OpenSSL would ask for the password on the terminal of a server.
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
    raise ValueError("the key is encrypted; give it decrypted, readable for nobody else")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "not PEM").replace("_", " ").lower()
        return "they do not belong together" if reason == "key values mismatch" else reason
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

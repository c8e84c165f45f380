"""TLS and authentication of the listeners, from the settings."""

import logging
from dataclasses import dataclass
from pathlib import Path

from otelgres.collector.security.authenticator import Authenticator
from otelgres.collector.security.binding import UnsafeBinding, check_binding, is_loopback
from otelgres.collector.security.tls import Certificates, TlsFiles, TlsUnusable
from otelgres.collector.security.token_file import TokenFile, TokensUnusable
from otelgres.collector.service.settings import ReceiverSettings, SettingError, parse_address

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Protection:
    """``certificates`` is None for plain text; ``authenticator`` is None if no token is needed."""

    certificates: Certificates | None
    authenticator: Authenticator | None


def protection(settings: ReceiverSettings) -> Protection:
    """Loads the certificates and tokens. Raises SettingError, also for addresses that need more protection."""
    try:
        certificates = _certificates(settings)
        tokens = TokenFile(Path(settings.tokens_file)) if settings.tokens_file else None
        authenticated = tokens is not None or settings.tls_client_ca is not None
        for name in ("grpc", "http"):
            host, _ = parse_address(getattr(settings, name), name)
            if not settings.insecure_bind:
                check_binding(name, host, tls=certificates is not None, authenticated=authenticated)
            elif not (certificates and authenticated) and not is_loopback(host):
                _log.warning("%s is served on %s without full protection, as insecure_bind allows", name, host)
    except (UnsafeBinding, TlsUnusable, TokensUnusable) as error:
        raise SettingError(str(error)) from None
    if tokens is not None and not len(tokens):
        _log.warning("%s contains no token: all requests are rejected until there is one", settings.tokens_file)
    return Protection(certificates, Authenticator(tokens) if tokens is not None else None)


def _certificates(settings: ReceiverSettings) -> Certificates | None:
    if settings.tls_cert and settings.tls_key:
        client_ca = Path(settings.tls_client_ca) if settings.tls_client_ca else None
        return Certificates(TlsFiles(Path(settings.tls_cert), Path(settings.tls_key), client_ca))
    if settings.tls_cert or settings.tls_key or settings.tls_client_ca:
        raise SettingError("TLS needs tls_cert and tls_key together; tls_client_ca additionally requires both.")
    return None

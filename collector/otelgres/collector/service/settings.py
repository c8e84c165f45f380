"""The receiver's settings: names, defaults and descriptions.

Precedence: flag, ``OTELGRES_*`` variable, ``otelgres.yaml``, default. Unknown keys are errors.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, get_type_hints

import yaml
from psycopg.conninfo import conninfo_to_dict

from otelgres.collector.security.dsn import InvalidDsn, check_dsn, hide_from_command_line
from otelgres.collector.security.private_file import InsecureFileMode, read_private
from otelgres.collector.system.data_folder import default_data_dir


class SettingError(ValueError):
    """An invalid setting; the message names it, its origin and the expected value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverSettings:
    """The settings of a receiver. The docstring below each is its description in docs/configuration.md."""

    dsn: str | None = field(default=None, repr=False)
    """The database: a libpq URI or key/value string; no superuser. Use the environment or a file: `ps` shows flags."""
    dsn_file: str | None = None
    """File that contains only the dsn, readable by its owner only; instead of dsn."""
    grpc: str = "127.0.0.1:4317"
    """Address of OTLP/gRPC, HOST:PORT; port 0 means any free one."""
    http: str = "127.0.0.1:4318"
    """Address of OTLP/HTTP, /metrics, /healthz and /readyz, HOST:PORT."""
    insecure_bind: bool = False
    """Allow listening on non-loopback addresses without TLS and tokens. For private networks of containers only."""
    tls_cert: str | None = None
    """Certificate chain (PEM) of both listeners, which then accept TLS only; reloaded when the file changes."""
    tls_key: str | None = None
    """Its private key (PEM, not encrypted)."""
    tls_client_ca: str | None = None
    """CA certificates (PEM): clients need a certificate signed by one of them."""
    tokens_file: str | None = None
    """File with the hashes of valid tokens (`otelgres token new`), readable by its owner only; reloaded on change."""
    redact: str = "off"
    """Remove secrets from requests: `defaults` for the built-in rules, a YAML file of rules, or `off`. Costs CPU."""
    cors_origins: str = ""
    """CORS: origins of browser clients, separated by commas; `*` allows every origin."""
    max_request_bytes: int = 64 * 1024 * 1024
    """Maximum bytes of a request, before and after decompression."""
    max_connections: int = 1024
    """Maximum connections of each listener, three quarters for one address; further ones are rejected."""
    max_concurrent_streams: int = 128
    """Maximum concurrent calls on one gRPC connection; further calls wait in the client."""
    max_concurrent_requests: int = 16
    """gRPC requests received at once, each of up to max_request_bytes, shared by senders; further ones wait."""
    receive_seconds: float = 60.0
    """Seconds in which a request must be received."""
    max_queue_bytes: int = 256 * 1024 * 1024
    """Bytes of queued requests, shared by senders; when it is full, requests are rejected with a retry delay."""
    spool: str | None = None
    """Folder for batches while the database is unavailable; by default one for each database in your data folder."""
    max_spool_bytes: int = 1024 * 1024 * 1024
    """Maximum bytes of the spool; when it is full, requests are rejected with a retry delay."""
    workers: int = 1
    """Receiver processes on the same ports, of 100 to 130 MB each. Each connection stays with one of them."""
    writers: int = 2
    """Connections that write to the database, each with its own thread."""
    past_days: int = 30
    """Data older than this many days is stored under 1970-01-01 and counted in otel.losses. At most 400 as a writer."""
    future_days: int = 1
    """Data further in the future is stored under 1970-01-01 and counted in otel.losses. At most 7 as a writer."""
    retention_days: int = 30
    """Days for which spans, logs and metric points are kept; 0 keeps them forever."""
    rollup_retention_days: int = 400
    """Days for which flows, span statistics and otel.losses are kept; 0 keeps them forever."""
    limit_items: int = 500_000
    """Spans, log records or points of a request; a larger request is rejected. For all limits: 0 means no limit."""
    limit_groups: int = 20_000
    """Resource and scope groups of a request; a request with more is rejected."""
    limit_parts: int = 131_072
    """Attributes, values, events, links, exemplars and buckets of an item; a request with more is rejected."""
    limit_attributes: int = 2048
    """Attributes of a span, record, point, event, link, resource or scope; more are dropped and counted."""
    limit_events: int = 4096
    """Events and links of a span; more are dropped and counted."""
    limit_key_bytes: int = 256 * 1024
    """Bytes of an attribute's key; longer ones are truncated and counted."""
    limit_value_bytes: int = 1024 * 1024
    """Bytes of an attribute's value; longer text is truncated, larger nested values are dropped, and counted."""
    limit_text_bytes: int = 4 * 1024 * 1024
    """Bytes of a body, name, status message or other text; longer ones are truncated and counted."""
    limit_nesting: int = 48
    """Levels of arrays and maps in a value, at most 48; deeper values are stored as bytes and counted."""
    limit_new_series: int = 20_000
    """New series and metrics per minute, tenant and process; points of further ones go to overflow series."""
    limit_new_resources: int = 2000
    """New resources and scopes per minute, tenant and process; data of further ones goes to one per tenant."""
    shutdown_seconds: float = 10.0
    """Seconds that a shutdown waits for pending commits."""


_PREFIX: Final = "OTELGRES_"
_TRUTHS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
# Variables of otelgres that are not settings of the receiver.
_OTHER: Final = {"OTELGRES_CONFIG", "OTELGRES_DATA", "OTELGRES_PG_USER", "OTELGRES_TEST_POSTGRES"}
# Variables of the library may be set in the same environment.
_APPLICATIONS: Final = "OTELGRES_TELEMETRY_"


def load(flags: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> ReceiverSettings:
    """The settings from flags (None: not given), environment and file. Raises :class:`SettingError`.

    A password in a flag is hidden on the command line, where other users can see it.
    """
    types = get_type_hints(ReceiverSettings)
    values: dict[str, Any] = {}
    path = environ.get(_PREFIX + "CONFIG")
    if path or Path("otelgres.yaml").is_file():
        values |= _one_dsn(_from_file(Path(path or "otelgres.yaml"), types), path or "otelgres.yaml")
    variables: dict[str, Any] = {}
    for name, text in environ.items():
        if name.startswith(_PREFIX) and name not in _OTHER and not name.startswith(_APPLICATIONS):
            key = name.removeprefix(_PREFIX).lower()
            if key not in types:
                raise SettingError(f"{name} is not a setting of otelgres. Known settings: {_names(types)}.")
            variables[key] = _converted(key, text, types[key], f"the variable {name}")
    values |= _one_dsn(variables, "the environment")
    given = {name: value for name, value in flags.items() if value is not None}
    values |= _one_dsn(given, "the flags")
    settings = ReceiverSettings(**values)
    for name in types:
        if name.startswith("max_") and getattr(settings, name) < 1:
            raise SettingError(f"{name} must be at least 1, not {getattr(settings, name)}.")
        if name.startswith("limit_") and getattr(settings, name) < 0:
            raise SettingError(f"{name} must be at least 0 (no limit), not {getattr(settings, name)}.")
    if settings.dsn_file:
        settings = replace(settings, dsn=_from_dsn_file(Path(settings.dsn_file)))
    if settings.dsn:
        try:
            check_dsn(settings.dsn)
        except InvalidDsn as error:
            raise SettingError(f"The dsn cannot be used: {error}.") from None
    if given.get("dsn"):
        hide_from_command_line(given["dsn"])
    return settings


def _one_dsn(values: dict[str, Any], origin: str) -> dict[str, Any]:
    # dsn and dsn_file are one setting: the one with the higher precedence overrides the other.
    if values.get("dsn") is not None and values.get("dsn_file") is not None:
        raise SettingError(f"{origin} must set dsn or dsn_file, not both.")
    return {"dsn": None, "dsn_file": None, **values} if "dsn" in values or "dsn_file" in values else values


def _from_dsn_file(path: Path) -> str:
    try:
        return read_private(path).strip()
    except InsecureFileMode as error:
        raise SettingError(f"The dsn_file {error}.") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingError(f"The dsn_file {path} cannot be read: {reason}.") from None


def _from_file(path: Path, types: Mapping[str, Any]) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise SettingError(f"{path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        # Without the error's text, which quotes the line and maybe a password.
        mark = getattr(error, "problem_mark", None)
        where = f": see line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SettingError(f"{path} cannot be read as YAML{where}.") from None
    if not isinstance(content, dict):
        raise SettingError(f"{path} must contain keys and values, such as `grpc: 127.0.0.1:4317`.")
    unknown = [str(key) for key in content if key not in types]
    if unknown:
        raise SettingError(f"{path} contains unknown keys: {', '.join(unknown)}. Known keys: {_names(types)}.")
    return {key: _converted(key, value, types[key], str(path)) for key, value in content.items()}


def _converted(key: str, value: Any, kind: Any, origin: str) -> Any:
    kinds = getattr(kind, "__args__", (kind,))
    try:
        if bool in kinds and str(value).lower() in _TRUTHS:
            return _TRUTHS[str(value).lower()]
        if int in kinds and not isinstance(value, bool):
            return int(value)
        if float in kinds and not isinstance(value, bool):
            return float(value)
        if str in kinds and isinstance(value, str):
            return value
    except ValueError:
        pass
    wanted = " or ".join(getattr(one, "__name__", str(one)) for one in kinds)
    shown = "" if key == "dsn" else f", not {value!r}"
    raise SettingError(f"{key} in {origin} must be {wanted}{shown}.")


def _names(types: Mapping[str, Any]) -> str:
    return ", ".join(types)


def spool_folder(settings: ReceiverSettings, dsn: str) -> Path:
    """The spool folder for this database: batches for one database must not be replayed into another."""
    if settings.spool:
        return Path(settings.spool)
    given = conninfo_to_dict(dsn)
    name = "|".join(str(given.get(key, "")) for key in ("host", "hostaddr", "port", "dbname"))
    return default_data_dir() / "spool" / hashlib.sha256(name.encode()).hexdigest()[:12]


def parse_address(text: str, name: str) -> tuple[str, int]:
    """``HOST:PORT`` or ``[IPv6]:PORT`` as a pair. Raises :class:`SettingError`."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdigit() or int(port) > 65535:
        raise SettingError(f"{name} must be HOST:PORT, such as 127.0.0.1:4317, not {text!r}.")
    return host, int(port)

"""The outcomes of a request outside the queue, and the reasons under which requests are counted."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from otelgres.exporters.outcome import Accepted, Invalid, Outcome, Overloaded, TooLarge, Unavailable


@dataclass(frozen=True, slots=True)
class Unauthenticated:
    """No valid token; ``shown``: whether the request had a token at all."""

    message: str
    shown: bool


@dataclass(frozen=True, slots=True)
class PermissionDenied:
    """The token is valid, but does not have the scope."""

    message: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """No such path, service or method of a service."""

    message: str


@dataclass(frozen=True, slots=True)
class MethodNotAllowed:
    """The path exists; ``allow`` is the value of the header that names its methods."""

    message: str
    allow: str


@dataclass(frozen=True, slots=True)
class Unsupported:
    """An unsupported media type or content coding; ``accept_encoding`` lists the supported codings."""

    message: str
    accept_encoding: str = ""


Rejection: TypeAlias = (
    Invalid
    | TooLarge
    | Overloaded
    | Unavailable
    | Unauthenticated
    | PermissionDenied
    | NotFound
    | MethodNotAllowed
    | Unsupported
)
Answerable: TypeAlias = Accepted | Rejection

UNEXPECTED: Final = Unavailable(1.0, "unexpected error in the receiver; nothing was stored, retry")
STOPPING: Final = Unavailable(1.0, "the receiver is stopping; retry")


class Reason(StrEnum):
    """The label ``reason`` of the request counter."""

    NONE = ""
    PARTIAL = "partial"
    QUEUE_FULL = "queue_full"
    UNAVAILABLE = "unavailable"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    MEDIA_TYPE = "media_type"
    CONTENT_ENCODING = "content_encoding"
    TENANT = "tenant"
    NO_TOKEN = "no_token"  # noqa: S105 (a label)
    UNKNOWN_TOKEN = "unknown_token"  # noqa: S105
    EXPIRED_TOKEN = "expired_token"  # noqa: S105
    WRONG_SCOPE = "wrong_scope"
    TOO_MANY_FAILURES = "too_many_failures"
    WRONG_PATH = "wrong_path"
    WRONG_METHOD = "wrong_method"
    THROTTLED = "throttled"
    TIMEOUT = "timeout"
    CLIENT_GONE = "client_gone"
    # Over gRPC: too large, wrong compression, or the client disconnected. grpc-core does not distinguish them.
    ABORTED = "aborted"
    STOPPING = "stopping"
    UNEXPECTED = "unexpected"

    @property
    def outcome(self) -> str:
        """The OpenTelemetry Collector's value: ``success``, ``refused`` (by the pipeline) or ``failure`` (receiver)."""
        if self in _SUCCESS:
            return "success"
        return "refused" if self in _REFUSED else "failure"

    @property
    def is_loss(self) -> bool:
        """Whether telemetry was rejected permanently. A client that is told to retry loses nothing."""
        return self in _LOSSES


_SUCCESS: Final = frozenset({Reason.NONE, Reason.PARTIAL})
_REFUSED: Final = frozenset({Reason.QUEUE_FULL, Reason.UNAVAILABLE})
_LOSSES: Final = frozenset(
    {
        Reason.MALFORMED,
        Reason.TOO_LARGE,
        Reason.MEDIA_TYPE,
        Reason.CONTENT_ENCODING,
        Reason.TENANT,
        Reason.NO_TOKEN,
        Reason.UNKNOWN_TOKEN,
        Reason.EXPIRED_TOKEN,
        Reason.WRONG_SCOPE,
        Reason.ABORTED,
    }
)


def reason_of(outcome: Outcome) -> Reason:
    """The reason for an outcome of the queue."""
    match outcome:
        case Accepted():
            return Reason.PARTIAL if outcome.rejected else Reason.NONE
        case Invalid():
            return Reason.MALFORMED
        case TooLarge():
            return Reason.TOO_LARGE
        case Overloaded():
            return Reason.QUEUE_FULL
        case Unavailable():
            return Reason.UNAVAILABLE


class Rejected(Exception):  # noqa: N818 (named for what happened to the request)
    """The request ends with this outcome. ``sample`` goes into otel.losses and must not hold client data."""

    def __init__(self, reason: Reason, outcome: Rejection, sample: str = "") -> None:
        super().__init__(outcome.message)
        self.reason = reason
        self.outcome = outcome
        self.sample = sample
        self.tenant: str | None = None  # of the request's token

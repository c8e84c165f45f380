"""The file with the hashed tokens: reloaded when it changes, and replaced atomically.

If the changed file is invalid, the error is logged and the previous tokens stay valid: otherwise a mistake in the file
would reject all clients, and their data would be lost.
"""

import hmac
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from otelgres.collector.security.private_file import InsecureFileMode, read_private, write_private
from otelgres.collector.security.tokens import InvalidTokens, Token, digest_of, read_tokens, write_tokens
from otelgres.collector.system.folder_lock import FolderLock, InUse

_log = logging.getLogger(__name__)

# A check is one stat; not for every request.
_CHECK_SECONDS: Final = 1.0
# Tokens have 47 characters. Longer values than this are not hashed.
_LONGEST_TOKEN: Final = 512


class TokensUnusable(ValueError):  # noqa: N818 (named for what the operator is told)
    """The file cannot be used; the message names it and says what to do."""


def load_tokens(path: Path) -> list[Token]:
    """The tokens in the file. Raises TokensUnusable."""
    try:
        return read_tokens(read_private(path))
    except FileNotFoundError:
        raise TokensUnusable(
            f"{path} does not exist: create it with `otelgres token new --tokens-file {path} --name …`"
        ) from None
    except InsecureFileMode as error:
        raise TokensUnusable(str(error)) from None
    except OSError as error:
        raise TokensUnusable(f"{path} cannot be read: {error.strerror}") from None
    except (InvalidTokens, UnicodeDecodeError) as error:
        reason = error if isinstance(error, InvalidTokens) else "it is not UTF-8"
        raise TokensUnusable(f"{path} cannot be used: {reason}") from None


@contextmanager
def changing(path: Path) -> Iterator[list[Token]]:
    """The list of tokens, to be changed in place; it is written back at the end. Raises TokensUnusable.

    One process at a time. A missing file is an empty list.
    """
    lock = FolderLock(path.with_name(path.name + ".lock"))
    try:
        lock.acquire()
    except InUse as error:
        raise TokensUnusable(f"{path} is being changed by process {error.owner}; retry") from None
    except OSError as error:
        raise TokensUnusable(f"{path.parent} cannot be written to: {error.strerror}") from None
    try:
        tokens = load_tokens(path) if path.exists() else []
        yield tokens
        write_private(path, write_tokens(tokens))
    except OSError as error:
        raise TokensUnusable(f"{path} cannot be written: {error.strerror}") from None
    finally:
        lock.release()


class TokenFile:
    """The current tokens. For use in the event loop only. The constructor raises TokensUnusable."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._last_error = ""
        self._seen = _stamp(path)
        self._tokens = _by_id(load_tokens(path))
        self._next_check = clock() + _CHECK_SECONDS

    def __len__(self) -> int:
        return len(self._tokens)

    def find(self, shown: bytes) -> Token | None:
        """The token with this text, even if expired; None if there is none."""
        self._reload_if_changed()
        if len(shown) > _LONGEST_TOKEN:
            return None
        digest = digest_of(shown)
        # The time of this look-up depends on bytes of the SHA-256 and not of the token, so it reveals nothing useful.
        found = self._tokens.get(digest[:6])
        if found is None or not hmac.compare_digest(found.digest, digest):
            return None
        return found

    def _reload_if_changed(self) -> None:
        now = self._clock()
        if now < self._next_check:
            return
        self._next_check = now + _CHECK_SECONDS
        # Before reading, so that a change in between is detected next time.
        stamp = _stamp(self._path)
        if stamp == self._seen:
            return
        try:
            tokens = load_tokens(self._path)
        except TokensUnusable as error:
            if str(error) != self._last_error:
                self._last_error = str(error)
                _log.error("%s. The previous tokens stay valid", error)
            return
        self._seen, self._last_error = stamp, ""
        self._tokens = _by_id(tokens)
        _log.info("%s was reloaded: %d tokens", self._path, len(tokens))


def _by_id(tokens: Sequence[Token]) -> dict[bytes, Token]:
    return {token.digest[:6]: token for token in tokens}


def _stamp(path: Path) -> tuple[int, int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    # Includes the mode: chmod can make a file valid without changing its text.
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode

"""The file that tokens are kept in: read again when it changes, changed as a whole. Refuses to know who shows a token.

A change that cannot be read leaves the tokens as they were: a slip in the file must not turn every sender away, whose
data is then lost. It is said in the log until it is mended.
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

# Looking is one stat, but not one for every request.
_LOOK_SECONDS: Final = 1.0
# Ours have 47 characters. Whatever is longer than any key needs no hashing.
_LONGEST_TOKEN: Final = 512


class TokensUnusable(ValueError):  # noqa: N818 (named for what the operator is told)
    """The file cannot be used; the message names it and says what to do."""


def load_tokens(path: Path) -> list[Token]:
    """The tokens in the file. Raises TokensUnusable."""
    try:
        return read_tokens(read_private(path))
    except FileNotFoundError:
        raise TokensUnusable(
            f"{path} is not there: `otelgres token new --tokens-file {path} --name …` makes it"
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
    """The list, to be changed in place and written back; one process at a time. Raises TokensUnusable.

    A file that is not there yet is an empty list.
    """
    lock = FolderLock(path.with_name(path.name + ".lock"))
    try:
        lock.acquire()
    except InUse as error:
        raise TokensUnusable(f"{path} is being changed by process {error.owner}; try again") from None
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
    """The tokens that are good now. Made for one thread: the loop that serves. Raises TokensUnusable when made."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._told = ""
        self._seen = _stamp(path)
        self._tokens = _by_id(load_tokens(path))
        self._next_look = clock() + _LOOK_SECONDS

    def __len__(self) -> int:
        return len(self._tokens)

    def find(self, shown: bytes) -> Token | None:
        """The token with this text, expired or not; None if there is none."""
        self._look()
        if len(shown) > _LONGEST_TOKEN:
            return None
        digest = digest_of(shown)
        # The time of this look-up depends on bytes of a SHA-256, not of the token: knowing how much of a hash was right
        # does not help to find a token that has it.
        found = self._tokens.get(digest[:6])
        if found is None or not hmac.compare_digest(found.digest, digest):
            return None
        return found

    def _look(self) -> None:
        now = self._clock()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_SECONDS
        # Looked at before reading: a change in between is then seen next time, instead of never.
        stamp = _stamp(self._path)
        if stamp == self._seen:
            return
        try:
            tokens = load_tokens(self._path)
        except TokensUnusable as error:
            if str(error) != self._told:
                self._told = str(error)
                _log.error("%s. The tokens read before stay in force", error)
            return
        self._seen, self._told = stamp, ""
        self._tokens = _by_id(tokens)
        _log.info("%s was read again: %d tokens", self._path, len(tokens))


def _by_id(tokens: Sequence[Token]) -> dict[bytes, Token]:
    return {token.digest[:6]: token for token in tokens}


def _stamp(path: Path) -> tuple[int, int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    # The mode too: chmod mends a file without changing its text.
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode

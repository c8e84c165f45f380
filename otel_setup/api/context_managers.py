"""Base classes of blocks that work as ``with`` and ``async with``, and as decorators."""

import functools
import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar, cast

from otel_setup.api.values import text

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Entered = TypeVar("_Entered", covariant=True)
_logger = logging.getLogger("otel_setup")


class Block(ABC, Generic[_Entered]):
    """A context manager for ``with`` and ``async with``."""

    __slots__ = ()

    @abstractmethod
    def __enter__(self) -> _Entered:
        """Enters the block."""

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leaves the block. Never suppresses an exception."""

    async def __aenter__(self) -> _Entered:
        """Same as ``__enter__``; awaits nothing."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Same as ``__exit__``; awaits nothing."""
        self.__exit__(kind, error, traceback)


class Decorator(Block[_Entered]):
    """A block that can also decorate a function."""

    __slots__ = ()

    @abstractmethod
    def _copy(self) -> Self:
        """A new block with the same arguments, since calls may overlap."""

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """Decorates a function or coroutine function: each call runs in its own block.

        A generator function is returned unchanged, with a warning: between two values its consumer runs.
        """
        if _is_generator_function(function):
            _logger.warning("generator functions cannot be decorated: %s is unchanged", text(function))
            return function
        if _is_coroutine_function(function):

            @functools.wraps(function)
            async def run_async(*args: _P.args, **kwargs: _P.kwargs) -> Any:
                with self._copy():
                    return await cast(Any, function)(*args, **kwargs)

            return cast(Callable[_P, _R], run_async)

        @functools.wraps(function)
        def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            with self._copy():
                return function(*args, **kwargs)

        return run


# Wrapped, because inspect's functions narrow a callable with a ParamSpec to a type without one.


def _is_generator_function(function: object) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _is_coroutine_function(function: object) -> bool:
    return inspect.iscoroutinefunction(function)

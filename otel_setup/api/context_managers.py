"""A stretch of code as ``with`` and ``async with``, and one that decorates functions, too.

Refuses to know what begins and ends with it: nothing is awaited, so entering and leaving are said once.
"""

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
    """What ``with`` and ``async with`` take."""

    __slots__ = ()

    @abstractmethod
    def __enter__(self) -> _Entered:
        """Begins it."""

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ends it. An exception goes on its way."""

    async def __aenter__(self) -> _Entered:
        """As ``__enter__``; nothing is awaited."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """As ``__exit__``; nothing is awaited."""
        self.__exit__(kind, error, traceback)


class Decorator(Block[_Entered]):
    """A block that may stand around each call of a function as well."""

    __slots__ = ()

    @abstractmethod
    def _again(self) -> Self:
        """The same, unopened: calls may overlap."""

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """Decorates a function or coroutine function: each call is a block of its own.

        A generator function is returned as it is: between two values it is its consumer that runs.
        """
        if _makes_generators(function):
            _logger.warning("generators are not covered: %s is left as it is", text(function))
            return function
        if _makes_coroutines(function):

            @functools.wraps(function)
            async def run_async(*args: _P.args, **kwargs: _P.kwargs) -> Any:
                with self._again():
                    return await cast(Any, function)(*args, **kwargs)

            return cast(Callable[_P, _R], run_async)

        @functools.wraps(function)
        def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            with self._again():
                return function(*args, **kwargs)

        return run


# Not inspect's functions themselves: they narrow a ParamSpec's callable to something that is none any more.


def _makes_generators(function: object) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _makes_coroutines(function: object) -> bool:
    return inspect.iscoroutinefunction(function)

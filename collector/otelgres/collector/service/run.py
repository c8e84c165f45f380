"""Runs a receiver in this process until SIGINT or SIGTERM."""

import asyncio
import gc
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from otelgres.collector.service.settings import ReceiverSettings, SettingError
from otelgres.collector.service.signals import set_on_signals
from otelgres.collector.service.wiring import Receiver
from otelgres.collector.system.listen import CannotListen

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class _DaemonThreads(ThreadPoolExecutor):
    """An executor with a daemon thread for each call, which is not waited for at exit.

    asyncio and the interpreter wait for ThreadPoolExecutor without a limit: a connection to a database that does not
    answer would block the shutdown forever.
    """

    def submit(
        self, fn: Callable[_Arguments, _Result], /, *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> Future[_Result]:
        future: Future[_Result] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 (raised by the future)
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=work, name="executor", daemon=True).start()
        return future


def run(
    settings: ReceiverSettings,
    dsn: str,
    maintenance_dsn: str | None,
    when_ready: Callable[[Receiver], None],
    *,
    reuse_port: bool = False,
) -> None:
    """Serves until SIGINT or SIGTERM, both of which are ignored afterwards.

    ``when_ready`` is called once, in the loop, when batches can be stored. ``reuse_port`` lets workers share the ports.
    Raises CannotListen or SettingError if the listeners cannot be opened, CannotListen if gRPC ended later, and
    SettingError when it turns out that a DSN is a superuser's.
    """
    asyncio.run(_run(Receiver(settings, dsn, maintenance_dsn, reuse_port=reuse_port), when_ready))


async def _run(receiver: Receiver, when_ready: Callable[[Receiver], None]) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().set_default_executor(_DaemonThreads())
    with set_on_signals(stop):
        try:
            await receiver.start()
            # What is loaded by now stays. Every full collection took 40 ms to look through it, in which nothing else
            # runs.
            gc.collect()
            gc.freeze()
            waits = [
                asyncio.create_task(receiver.schema_known.wait()),
                asyncio.create_task(stop.wait()),
                asyncio.create_task(_stop_when(receiver.failed, stop)),
                asyncio.create_task(_stop_when(receiver.refused, stop)),
            ]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if receiver.schema_known.is_set() and not stop.is_set():
                when_ready(receiver)
                await stop.wait()
            for wait in waits:
                wait.cancel()
            if receiver.refused.is_set():
                raise SettingError(receiver.refusal)
            if receiver.failed.is_set():
                raise CannotListen(
                    f"gRPC ended and {receiver.grpc} could not be served again: start the receiver again"
                )
        finally:
            await receiver.stop()


async def _stop_when(event: asyncio.Event, stop: asyncio.Event) -> None:
    await event.wait()
    stop.set()

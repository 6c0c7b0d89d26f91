"""Drivers that are written with asyncio. Connection and lease are kept on threads all the same: an event loop that is blocked must not cost the lease."""

import asyncio
from typing import Optional, TypeVar

from .client import DriverClient
from .machine import DriverMachine
from .trigger import Trigger

_Self = TypeVar("_Self", bound="AsyncDriverMachine")


class AsyncDriverMachine(DriverMachine):
    """
    As `DriverMachine`; starts and stops are coroutines on the event loop that `connect_async` was called on. A start that is to be given up, and a planned stop that has
    become urgent, is cancelled as tasks are: CancelledError.
    """

    def __init__(self, client: DriverClient, host: str = "ws://127.0.0.1:3001") -> None:
        super().__init__(client, host)
        self._loop: Optional[asyncio.AbstractEventLoop] = None

    async def trigger_async(self, trigger: Trigger) -> None:
        """To be overridden. Start or stop; return only when it has happened."""

    async def connect_async(self: _Self) -> _Self:
        """As `connect`."""
        self._loop = asyncio.get_running_loop()
        try:
            await asyncio.to_thread(super().connect)
        except asyncio.CancelledError:
            await self.close_async()
            raise
        return self

    async def close_async(self) -> None:
        """As `close`."""
        await asyncio.shield(asyncio.to_thread(self.close))

    async def __aenter__(self: _Self) -> _Self:
        return await self.connect_async()

    async def __aexit__(self, *_: object) -> None:
        await self.close_async()

    def trigger_with(self, trigger: Trigger) -> None:
        """Runs `trigger_async` on the event loop, and waits for it."""
        if self._loop is None:
            raise RuntimeError("This driver was connected without an event loop. Use connect_async.")
        loop = self._loop

        async def perform() -> None:
            task = asyncio.current_task()
            assert task is not None
            # The task is cancelled, and not who waits for it: a call has ended when its coroutine has.
            trigger.cancelled.when_set(lambda: loop.call_soon_threadsafe(task.cancel))  # type: ignore[attr-defined]
            await self.trigger_async(trigger)

        asyncio.run_coroutine_threadsafe(perform(), loop).result()

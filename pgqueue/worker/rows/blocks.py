"""Init blocks: what an application's initializer has given, kept for as long as it lives.

A block belongs to one thread, so a connection in it needs no lock; those of async processors belong to the event loop.
Here a function of the user's may be sync or async wherever it stands: `Blocks` in a thread has awaitables awaited by
the loop, `LoopBlocks` has sync functions called in a thread.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from pgqueue._json import dumps_lossy
from pgqueue.outcomes import Settlement, error_document

__all__ = ["Blocks", "InitFailed", "LoopBlocks", "awaited", "awaited_by", "init_failed"]

logger = logging.getLogger("pgqueue.worker")


class InitFailed(Exception):
    """An initializer has raised; its exception is the cause."""


def init_failed(error: InitFailed) -> Settlement:
    """How to settle a job that has no block: tried again, as long as it has attempts."""
    return Settlement("failed", error=dumps_lossy({**error_document(error), "type": "InitFailed"}))


async def awaited(value: Awaitable[Any]) -> Any:
    """A coroutine, whatever kind of awaitable it is."""
    return await value


def awaited_by(loop: asyncio.AbstractEventLoop) -> Callable[[Awaitable[Any]], Any]:
    """For threads: has `loop` await what they hand over, and gives what came of it."""
    return lambda value: asyncio.run_coroutine_threadsafe(awaited(value), loop).result()


class Blocks:
    """The blocks of one thread.

    Args:
        initializers: by application; each gets its name.
        wait: for what is async: gives what an awaitable comes to.
    """

    def __init__(self, initializers: Mapping[str, Callable[[str], Any]], wait: Callable[[Awaitable[Any]], Any]) -> None:
        self._initializers = initializers
        self._wait = wait
        self._held: dict[str, Any] = {}

    def get(self, app: str) -> Any:
        """The block, alive; None for an application without initializer. Raises InitFailed."""
        if app in self._held:
            block = self._held[app]
            if self._is_alive(app, block):
                return block
            del self._held[app]
            self._close(app, block)
        initializer = self._initializers.get(app)
        if initializer is None:
            return None
        try:
            block = self._held[app] = self._settled(initializer(app))
        except Exception as error:
            raise InitFailed(f"the initializer of {app!r} failed: {type(error).__name__}: {error}") from error
        return block

    def close(self) -> None:
        """Closes them all. Does not raise."""
        while self._held:
            self._close(*self._held.popitem())

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """What a function of the user's returns, awaited if need be."""
        return self._settled(function(*args))

    def _settled(self, value: Any) -> Any:
        return self._wait(value) if inspect.isawaitable(value) else value

    def _is_alive(self, app: str, block: Any) -> bool:
        ask = getattr(block, "is_alive", None)
        if ask is None:
            return True
        try:
            return bool(self._settled(ask()))
        except Exception:
            logger.warning("is_alive() of an init block failed; making another", exc_info=True, extra={"app": app})
            return False

    def _close(self, app: str, block: Any) -> None:
        close = getattr(block, "close", None)
        if close is None:
            return
        try:
            self._settled(close())
        except Exception:
            logger.warning("closing an init block failed", exc_info=True, extra={"app": app})


class LoopBlocks:
    """The blocks of the event loop. `in_thread` calls a sync function elsewhere: it may take its time."""

    def __init__(
        self,
        initializers: Mapping[str, Callable[[str], Any]],
        in_thread: Callable[[Callable[[], Any]], Coroutine[Any, Any, Any]],
    ) -> None:
        self._initializers = initializers
        self._in_thread = in_thread
        self._held: dict[str, Any] = {}
        self._making: dict[str, asyncio.Lock] = {}

    async def get(self, app: str) -> Any:
        """The block, alive; None for an application without initializer. Raises InitFailed."""
        initializer = self._initializers.get(app)
        if initializer is None:
            return None
        async with self._making.setdefault(app, asyncio.Lock()):
            if app in self._held:
                block = self._held[app]
                if await self._is_alive(app, block):
                    return block
                del self._held[app]
                await self._close(app, block)
            try:
                block = self._held[app] = await self.call(initializer, app)
            except Exception as error:
                raise InitFailed(f"the initializer of {app!r} failed: {type(error).__name__}: {error}") from error
            return block

    async def close(self) -> None:
        """Closes them all. Does not raise."""
        while self._held:
            await self._close(*self._held.popitem())

    async def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """What a function of the user's returns, awaited if need be."""
        # a lambda does not say what it gives: called in a thread, and awaited here if it is async after all
        value = (
            function(*args) if inspect.iscoroutinefunction(function) else await self._in_thread(lambda: function(*args))
        )
        return await value if inspect.isawaitable(value) else value

    async def _is_alive(self, app: str, block: Any) -> bool:
        ask = getattr(block, "is_alive", None)
        if ask is None:
            return True
        try:
            return bool(await self.call(ask))
        except Exception:
            logger.warning("is_alive() of an init block failed; making another", exc_info=True, extra={"app": app})
            return False

    async def _close(self, app: str, block: Any) -> None:
        close = getattr(block, "close", None)
        if close is None:
            return
        try:
            await self.call(close)
        except Exception:
            logger.warning("closing an init block failed", exc_info=True, extra={"app": app})

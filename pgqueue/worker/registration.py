"""Being known to the server: the worker's row, which every claim and heartbeat names."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from pgqueue._calls import Calls
from pgqueue.errors import PgQueueError, UnknownWorker
from pgqueue.worker.backoff import Backoff
from pgqueue.worker.events import Teller
from pgqueue.worker.link import Link, describe
from pgqueue.worker.settings import Settings, queue_limits

__all__ = ["Registration"]

logger = logging.getLogger("pgqueue.worker")


class Registration:
    """Registers, registers again when the server has forgotten us, and deregisters.

    Args:
        on_registered: called with each new worker id.
        on_forgotten: called with a worker id the server no longer knows, before registering again: what we hold
        belongs to others.
    """

    def __init__(
        self,
        settings: Settings,
        calls: Calls,
        link: Link,
        tell: Teller,
        ending: asyncio.Event,
        *,
        on_registered: Callable[[int], None],
        on_forgotten: Callable[[int], None],
    ) -> None:
        self.worker_id: int | None = None
        self._settings = settings
        self._calls = calls
        self._link = link
        self._tell = tell
        self._ending = ending
        self._on_registered = on_registered
        self._on_forgotten = on_forgotten
        self._lock = asyncio.Lock()

    async def register(self) -> None:
        """Raises PgQueueError."""
        settings = self._settings
        queues = list(queue_limits(settings.queues))
        info = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "python": sys.version.split()[0],
            "pgqueue": _version(),
        }
        await self._link.open()
        worker_id = await self._link.call(
            self._calls.register_worker(settings.name, queues, settings.concurrency, info)
        )
        self.worker_id = worker_id
        self._on_registered(worker_id)
        logger.info("registered", extra={"worker_id": worker_id, "worker": settings.name, "queues": queues})
        self._tell("registered", worker_id=worker_id)

    async def again(self, unknown: int) -> None:
        """The server does not know this id: was it ours, it has declared us lost. Returns when we have another."""
        async with self._lock:
            if unknown != self.worker_id or self._ending.is_set():
                return
            logger.error(
                "the server has declared this worker lost: dropping what it has, registering again",
                extra={"worker_id": unknown},
            )
            self._tell("lost", worker_id=unknown)
            self._on_forgotten(unknown)
            backoff = Backoff(first=0.1, most=5.0)
            while not self._ending.is_set():
                try:
                    await self.register()
                    return
                except PgQueueError as error:
                    logger.warning("cannot register: %s", describe(error), extra={"sqlstate": error.sqlstate})
                    await asyncio.sleep(backoff.delay())

    async def end(self, within: float) -> None:
        """Deregister, which gives back what the server believes to be here. Does not raise: what fails here is mended
        by the rescue.
        """
        if self.worker_id is None:
            return
        try:
            async with asyncio.timeout(within):
                await self._link.open()
                given_back = await self._link.call(self._calls.deregister_worker(self.worker_id))
            if given_back:
                logger.warning("given back on leaving", extra={"jobs": given_back})
        except UnknownWorker:
            logger.info("the server had forgotten this worker already", extra={"worker_id": self.worker_id})
        except (PgQueueError, TimeoutError) as error:
            logger.warning("could not deregister, what is held will be rescued: %s", describe(error))


def _version() -> str:
    try:
        return version("pgqueue-sql")
    except PackageNotFoundError:
        return "unknown"

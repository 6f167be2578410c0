"""The connections of a worker by what they are for, all to the same server."""

from __future__ import annotations

import asyncio

from pgqueue.worker.events import Teller
from pgqueue.worker.link import Link
from pgqueue.worker.settings import Settings

__all__ = ["Links"]


class Links:
    """Makes them. `stopping`: see Link."""

    def __init__(self, settings: Settings, tell: Teller, stopping: asyncio.Event) -> None:
        self.prepare = False
        """Whether those for jobs prepare their statements: not until it is known that no pooler is in between."""
        self._settings = settings
        self._tell = tell
        self._stopping = stopping

    def work(self) -> Link:
        """For jobs: settling, and claiming where there is no other."""
        return self._made("work", for_jobs=True, prepare=self.prepare)

    async def claim(self) -> Link | None:
        """An open one for claims only, whose commits do not wait for the disk; None when there may not be another.
        Ask for it where it is sure to be a session of our own: a pooler might give it to others.
        """
        if self._settings.connections < 2:
            return None
        link = self._made("claim", for_jobs=True, prepare=self.prepare, is_durable=False)
        await link.open()
        return link

    def side(self, role: str) -> Link:
        """For what is asked now and then."""
        return self._made(role, for_jobs=False, prepare=False)

    def _made(self, role: str, *, for_jobs: bool, prepare: bool, is_durable: bool = True) -> Link:
        settings = self._settings
        link = Link(role, settings.dsn, settings, self._tell, self._stopping, for_jobs=for_jobs, is_durable=is_durable)
        link.prepare = prepare
        return link

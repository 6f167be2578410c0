"""Waiting for items of keyed queues: however many wait for one, in one process one of them listens and reads.

As `_waiting`, which does the listening: the two worlds have a way of their own each. Whoever waits with an orphan
deadline also asks for the item again every third of it, so that what is waited for is never orphaned.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pgqueue.errors import ConnectionLost, ResultTimeout
from pgqueue.models import FINAL_STATES, KeyedResult

if TYPE_CHECKING:
    from pgqueue._async.client import AsyncClient
    from pgqueue._sync.client import Client
    from pgqueue._waiting import ResultListener, ResultWaiter

__all__ = ["Ending", "KeyedListener", "KeyedWaiter"]

_log = logging.getLogger("pgqueue.results")
_LIVE = ("pending", "active")
_SECOND_LOOK = 0.05
"""Seconds after which to look for the first time though nothing was told: an item that ends while we begin to watch it,
between its settle's look for waiters and the commit, tells nobody. Quick items often do.
"""


@dataclass(frozen=True, slots=True)
class Ending:
    """How an item has ended: `state` succeeded, failed, cancelled or gone. `text` is its result, None without one."""

    state: str
    text: str | None


def _ending(result: KeyedResult | None) -> Ending | None:
    return None if result is None else Ending(result.state, result.payload)


def _timed_out(id: int, timeout: float | None) -> ResultTimeout:
    return ResultTimeout(
        f"item {id} has not ended within {timeout or 0:g} s", f"it goes on; what it waits for: pgqueue job why {id}"
    )


class _Extending:
    """When to ask for an item again. The longest deadline of those who wait counts."""

    def __init__(self) -> None:
        self._orphan: float | None = None
        self._asked = time.monotonic()

    def want(self, orphan: float | None) -> None:
        if orphan is not None:
            self._orphan = max(orphan, self._orphan or 0.0)

    @property
    def left(self) -> float:
        """Seconds until it is time."""
        if self._orphan is None:
            return math.inf
        return max(self._asked + self._orphan / 3 - time.monotonic(), 0.0)

    def due(self) -> int | None:
        """The deadline in milliseconds, when it is time."""
        if self._orphan is None or self.left > 0:
            return None
        self._asked = time.monotonic()
        return max(round(self._orphan * 1000), 1)


# -- async ------------------------------------------------------------------------------------------------------------


class _Shared:
    """What waiters of one item share."""

    def __init__(self) -> None:
        self.extending = _Extending()
        self.waiters = 0
        self.task: asyncio.Task[Ending]


class KeyedListener:
    """Waits for items on one event loop: a task for each item, its outcome for all who wait."""

    def __init__(self, client: AsyncClient, results: ResultListener) -> None:
        self._client = client
        self._results = results
        self._shared: dict[int, _Shared] = {}

    async def wait(
        self, id: int, timeout: float | None, orphan: float | None = None, *, is_new: bool = False
    ) -> Ending:
        """Waits until the item has ended. `is_new`: it has just been added, so there is nothing to read yet. Raises
        ResultTimeout.
        """
        shared = self._shared.get(id)
        if shared is None:
            shared = self._shared[id] = _Shared()
            shared.task = asyncio.create_task(self._watch(id, shared, is_new), name=f"pgqueue item {id}")
            shared.task.add_done_callback(lambda _: self._forget(id, shared))
        shared.extending.want(orphan)
        shared.waiters += 1
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(shared.task)
        except TimeoutError:
            raise _timed_out(id, timeout) from None
        finally:
            shared.waiters -= 1
            if not shared.waiters and not shared.task.done():
                shared.task.cancel()
                self._forget(id, shared)

    def waiting(self, id: int) -> int:
        """How many wait for this item here."""
        shared = self._shared.get(id)
        return 0 if shared is None else shared.waiters

    def _forget(self, id: int, shared: _Shared) -> None:
        if self._shared.get(id) is shared:
            del self._shared[id]

    async def _watch(self, id: int, shared: _Shared, is_new: bool) -> Ending:
        with self._results.hearing(id) as ear:
            if not is_new and (ending := _ending(await self._client.keyed_result_by_id(id))) is not None:
                return ending
            patience = _SECOND_LOOK
            while True:
                is_told = await ear.listen(min(patience, shared.extending.left))
                patience = math.inf
                try:
                    if is_told or not await self._is_live(id, shared):
                        ending = await self._look(id)
                        if ending.state not in _LIVE:
                            return ending
                except ConnectionLost as error:
                    _log.warning("cannot ask for the result of item %s, trying on: %s", id, error)

    async def _is_live(self, id: int, shared: _Shared) -> bool:
        orphan_ms = shared.extending.due()
        if orphan_ms is not None:
            return await self._client.keyed_extend(id, orphan_ms)
        return await self._client.keyed_state(id) in _LIVE

    async def _look(self, id: int) -> Ending:
        found = _ending(await self._client.keyed_result_by_id(id))
        return found or Ending(await self._client.keyed_state(id), None)


# -- sync -------------------------------------------------------------------------------------------------------------


class _Party:
    """Threads that wait for one item: whoever holds `lead` listens for all."""

    def __init__(self) -> None:
        self.extending = _Extending()
        self.waiters = 0
        self.lead = threading.Lock()
        self.ending: Ending | None = None


class KeyedWaiter:
    """Waits for items in threads. One of those who wait for the same item listens; should its time be up, the next
    does.
    """

    def __init__(self, client: Client, results: ResultWaiter) -> None:
        self._client = client
        self._results = results
        self._parties: dict[int, _Party] = {}
        self._lock = threading.Lock()

    def wait(self, id: int, timeout: float | None, orphan: float | None = None, *, is_new: bool = False) -> Ending:
        """Blocks until the item has ended. `is_new`: it has just been added, so there is nothing to read yet. Raises
        ResultTimeout.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            party = self._parties.setdefault(id, _Party())
            party.waiters += 1
            party.extending.want(orphan)
        try:
            if not party.lead.acquire(timeout=-1 if timeout is None else max(timeout, 0.0)):
                raise _timed_out(id, timeout)
            try:
                if party.ending is None:
                    party.ending = self._watch(id, party, deadline, timeout, is_new)
                return party.ending
            finally:
                party.lead.release()
        finally:
            with self._lock:
                party.waiters -= 1
                if not party.waiters:
                    self._parties.pop(id, None)

    def _watch(self, id: int, party: _Party, deadline: float | None, timeout: float | None, is_new: bool) -> Ending:
        from pgqueue._waiting import hear, next_pause

        client = self._client
        if not is_new and (ending := _ending(client.keyed_result_by_id(id))) is not None:
            return ending
        with contextlib.ExitStack() as stack:
            connection, state = self._results.listen_for(id, stack)
            is_told = state in FINAL_STATES
            pause, patience = 0.0, _SECOND_LOOK
            while True:
                if not is_told:
                    pause = next_pause(pause, is_listening=connection is not None)
                    left = min(pause, patience, party.extending.left)
                    patience = math.inf
                    if deadline is not None:
                        left = min(left, deadline - time.monotonic())
                    if left < 0:
                        raise _timed_out(id, timeout)
                    if connection is None:
                        time.sleep(left)
                    else:
                        heard = hear(connection, str(id), left)
                        is_told = bool(heard)
                        connection = None if heard is None else connection
                on = client if connection is None else client.on(connection)
                try:
                    if is_told or not self._is_live(on, id, party):
                        is_told = False
                        ending = self._look(on, id)
                        if ending.state not in _LIVE:
                            return ending
                except ConnectionLost as error:
                    _log.warning("cannot ask for the result of item %s, trying on: %s", id, error)
                    connection = None

    def _is_live(self, on: Client, id: int, party: _Party) -> bool:
        orphan_ms = party.extending.due()
        if orphan_ms is not None:
            return on.keyed_extend(id, orphan_ms)
        return on.keyed_state(id) in _LIVE

    def _look(self, on: Client, id: int) -> Ending:
        found = _ending(on.keyed_result_by_id(id))
        return found or Ending(on.keyed_state(id), None)

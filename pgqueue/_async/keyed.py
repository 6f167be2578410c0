"""A keyed queue: the same thing asked for by many is done once, and all who asked get the result."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from pgqueue._calls_base import Seconds
from pgqueue._keyedtext import NOTHING, Nothing, decoded, encoded, raise_for, to_ms
from pgqueue.models import (
    KeyedAdded,
    KeyedAddedClaim,
    KeyedClaim,
    KeyedItemInfo,
    KeyedLine,
    KeyedListed,
    KeyedNext,
    KeyedReaped,
    KeyedResult,
    KeyedStage,
)

if TYPE_CHECKING:
    from pgqueue._async.client import AsyncClient

__all__ = ["AsyncKeyedQueue"]

T = TypeVar("T")
_Lines: TypeAlias = list[KeyedLine]
_Items: TypeAlias = list[KeyedListed]
_Claimed: TypeAlias = list[KeyedNext]
_Reaped: TypeAlias = list[KeyedReaped]


class AsyncKeyedQueue:
    """`client.keyed(queue)` and `app.keyed_queue(queue)`.

    Payloads, extras and results are JSON values, stored as text: a result may be several MB. With `text`, payloads and
    results are text of any kind, extras are the text of JSON objects. Methods that take a key take the `id` of an item
    instead, which never means a later item of the same key. Times are seconds. Everything may raise the exceptions of
    `pgqueue.errors`; the SQL functions are those of the same names with `keyed_` before them.
    """

    def __init__(self, client: AsyncClient, queue: str, *, text: bool = False) -> None:
        self._client = client
        self.queue = queue
        self.text = text

    # -- asking ---------------------------------------------------------------------------------------------------

    async def get_or_run(
        self,
        key: str,
        payload: Any,
        *,
        timeout: float | None = None,
        priority: int = 0,
        orphan: float | None = 120.0,
        external_id: str | None = None,
        stage_key: str | None = None,
    ) -> Any:
        """The result for this key: of the item that runs or waits, of one that is added now, or one that has ended and
        that nobody has read yet.

        Waits up to `timeout` seconds (None: for ever). While it waits, the item is not orphaned: `orphan` seconds after
        the last of those who ask has gone, it may be. An item that a client ended without a result gives None. Raises
        ItemFailed when the worker gave up, ItemCancelled, ResultTimeout (the item goes on). SQL functions: keyed_add,
        watch, keyed_result_by_id, keyed_extend, keyed_state.
        """
        began = time.monotonic()
        added = await self.add(
            key,
            payload,
            priority=priority,
            orphan=orphan,
            external_id=external_id,
            stage_key=stage_key,
            reuse=True,
        )
        left = None if timeout is None else max(timeout - (time.monotonic() - began), 0.0)
        return await self._wait(added.id, left, orphan, added.created)

    async def wait(self, id: int, timeout: float | None = None, *, orphan: float | None = None) -> Any:
        """The result of an item, as soon as it has one; None when it has ended without, or its result has expired. With
        `orphan` its deadline moves on meanwhile. Raises what `get_or_run` raises.
        """
        return await self._wait(id, timeout, orphan, False)

    async def _wait(self, id: int, timeout: float | None, orphan: float | None, is_new: bool) -> Any:
        ending = await self._client.results().items.wait(id, timeout, orphan, is_new=is_new)
        raise_for(id, ending.state, ending.text)
        return self._out(ending.text, f"the result of item {id}")

    async def result(self, key: str, *, external_id: str | None = None) -> KeyedResult | None:
        """The newest result of a key, once: None when there is none or somebody has read it. With the external_id of a
        request, any number of times.
        """
        return self._result(await self._client.keyed_result(self.queue, key, external_id))

    async def result_by_id(self, id: int, *, external_id: str | None = None, hide: bool = True) -> KeyedResult | None:
        """The result of an item, any number of times until it expires; None when there is none. `hide`: reads by key do
        not get it any more.
        """
        return self._result(await self._client.keyed_result_by_id(id, external_id, hide))

    # -- items ----------------------------------------------------------------------------------------------------

    async def add(
        self,
        key: str,
        payload: Any,
        *,
        priority: int = 0,
        orphan: float | None = None,
        process_id: str | None = None,
        exclusive: bool = False,
        external_id: str | None = None,
        stage_key: str | None = None,
        reuse: bool = False,
        max_attempts: int = 1,
    ) -> KeyedAdded:
        """Adds an item, or joins the one that has the key: its payload stands, its deadline and priority rise if this
        request asks for more. Raises InvalidArgument, and Conflict when a job that is no item has the key.
        """
        return await self._client.keyed_add(
            self.queue,
            key,
            self._in(payload, "payload"),
            priority,
            to_ms("orphan", orphan),
            process_id,
            exclusive,
            external_id,
            stage_key,
            reuse,
            max_attempts,
        )

    async def add_and_claim(
        self,
        key: str,
        payload: Any,
        *,
        concurrency: int | None = None,
        priority: int = 0,
        orphan: float | None = None,
        process_id: str | None = None,
        exclusive: bool = False,
        external_id: str | None = None,
        stage_key: str | None = None,
        reuse: bool = False,
        max_attempts: int = 1,
    ) -> KeyedAddedClaim:
        """`add`, and a claim in the same step if fewer than `concurrency` items are active or wait before it."""
        answer = await self._client.keyed_add_and_claim(
            self.queue,
            key,
            self._in(payload, "payload"),
            priority,
            to_ms("orphan", orphan),
            process_id,
            exclusive,
            external_id,
            concurrency,
            stage_key,
            reuse,
            max_attempts,
        )
        return self._item(answer)

    async def claim(
        self,
        key: str | None = None,
        *,
        id: int | None = None,
        concurrency: int | None = 1,
        process_id: str | None = None,
    ) -> KeyedClaim:
        """Claims one item to execute it here: heartbeat now and then, `ack` in the end. `refused` says why not."""
        return self._item(await self._client.keyed_claim(self.queue, key, id, concurrency, process_id))

    async def claim_next(
        self, n: int = 1, *, concurrency: int | None = None, process_id: str | None = None
    ) -> _Claimed:
        """Claims the next items, by priority and age: none, or up to n."""
        claimed = await self._client.keyed_claim_next(self.queue, concurrency, process_id, n)
        return [self._item(each) for each in claimed]

    async def get(self, key: str | None = None, *, id: int | None = None) -> KeyedItemInfo | None:
        """The item; None when it is gone."""
        return self._item_or_none(await self._client.keyed_get(self.queue, key, id))

    async def cancel(self, key: str | None = None, *, id: int | None = None) -> KeyedItemInfo | None:
        """Removes an item, waiting or active: who waits for it raises ItemCancelled, who executes it is told. What it
        was, for one caller; None when it is gone.
        """
        return self._item_or_none(await self._client.keyed_cancel(self.queue, key, id))

    async def heartbeat(self, key: str | None = None, *, id: int | None = None) -> bool:
        """The item is still being executed. False: it is gone, stop."""
        return await self._client.keyed_heartbeat(self.queue, key, id)

    async def merge_extra(self, extra: Any, *, key: str | None = None, id: int | None = None) -> bool:
        """Adds the members of an object to the item's extra; None clears it. False: the item is gone."""
        text = extra if self.text and isinstance(extra, str) else encoded(extra, "extra")
        return await self._client.keyed_merge_extra(self.queue, key, id, text)

    async def ack(
        self, key: str | None = None, *, id: int | None = None, result: Any = NOTHING, ttl: Seconds | None = None
    ) -> bool:
        """Ends an item with a result; without one, who waits gets None. `ttl`: how long it is kept. False: the item is
        gone, and nothing is changed.
        """
        text = None if isinstance(result, Nothing) else self._in(result, "result")
        return await self._client.keyed_ack(self.queue, key, id, text, ttl)

    async def extend(self, id: int, orphan: float) -> bool:
        """Asks for an item again, so that it is not orphaned for so long. False: it is gone."""
        return await self._client.keyed_extend(id, to_ms("orphan", orphan) or 0)

    async def state(self, id: int) -> str:
        """pending, active, succeeded, failed, cancelled or gone."""
        return await self._client.keyed_state(id)

    async def reap(
        self,
        *,
        stalled: float | None = None,
        orphan: float | None = None,
        max: int = 1000,
        release: bool = False,
    ) -> _Reaped:
        """Removes items that nobody has executed (no heartbeat for `stalled` seconds) or asked for (`orphan` seconds,
        for those without a deadline of their own), each told to one caller; None leaves that half out. `release`:
        stalled ones go back to where they wait.
        """
        reaped = await self._client.keyed_reap(
            self.queue, to_ms("stalled", stalled), to_ms("orphan", orphan), max, release
        )
        return [self._item(each) for each in reaped]

    async def truncate(self) -> int:
        """Cancels all items and forgets all results; returns how many items there were."""
        return await self._client.keyed_truncate(self.queue)

    # -- looking --------------------------------------------------------------------------------------------------

    async def stage(self, stage_key: str, priority: int | None = None) -> KeyedStage | None:
        """How far the first item with this stage_key is."""
        return await self._client.keyed_stage(self.queue, stage_key, priority)

    async def keys(self, process_id: str | None = None) -> _Lines:
        """All items by priority and age, without their payloads."""
        return [self._item(each) for each in await self._client.keyed_keys(self.queue, process_id)]

    async def pending(self, process_id: str | None = None) -> _Lines:
        """Those that wait, in the order in which they are to be claimed."""
        return [self._item(each) for each in await self._client.keyed_pending(self.queue, process_id)]

    async def active(self, process_id: str | None = None) -> _Lines:
        """Those that are being executed, by id."""
        return [self._item(each) for each in await self._client.keyed_active(self.queue, process_id)]

    async def list(self, process_id: str | None = None) -> _Items:
        """All items with their payloads."""
        return [self._item(each) for each in await self._client.keyed_list(self.queue, process_id)]

    # -- within ---------------------------------------------------------------------------------------------------

    def _in(self, value: Any, what: str) -> Any:
        return value if self.text else encoded(value, what)

    def _out(self, text: str | None, what: str) -> Any:
        return text if self.text else decoded(text, what)

    def _item(self, item: T) -> T:
        """The same with payload and extra decoded, as far as it has them."""
        if self.text:
            return item
        found: Any = item
        what = f"item {found.id}"
        values = {
            name: decoded(getattr(found, name), f"the {name} of {what}")
            for name in ("payload", "extra")
            if getattr(found, name, None) is not None
        }
        changed: T = replace(found, **values) if values else item
        return changed

    def _item_or_none(self, item: KeyedItemInfo | None) -> KeyedItemInfo | None:
        return None if item is None else self._item(item)

    def _result(self, result: KeyedResult | None) -> KeyedResult | None:
        return None if result is None else self._item(result)

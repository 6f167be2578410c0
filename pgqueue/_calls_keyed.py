"""The functions of keyed queues, as `pgqueue._calls.Calls` offers them. Texts go and come as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pgqueue import models
from pgqueue._calls_base import BaseCalls, Call, Row, Seconds, many, one, value

__all__ = ["KeyedCalls"]

T = TypeVar("T")


class KeyedCalls(BaseCalls):
    """Items that are asked for by key: one execution, however many ask. An item is meant by its id where one is given,
    else by queue and key.
    """

    def keyed_add(
        self,
        queue: str,
        key: str,
        payload: str,
        priority: int = 0,
        orphan_ms: int | None = None,
        process_id: str | None = None,
        exclusive: bool = False,
        external_id: str | None = None,
        stage_key: str | None = None,
        reuse: bool = False,
        max_attempts: int = 1,
    ) -> Call[models.KeyedAdded]:
        """Adds an item, or joins the one that has the key. Raises InvalidArgument, and Conflict when a job that is no
        item has the key.
        """
        return self._call("keyed_add", one(models.KeyedAdded), locals())

    def keyed_add_and_claim(
        self,
        queue: str,
        key: str,
        payload: str,
        priority: int = 0,
        orphan_ms: int | None = None,
        process_id: str | None = None,
        exclusive: bool = False,
        external_id: str | None = None,
        concurrency: int | None = None,
        stage_key: str | None = None,
        reuse: bool = False,
        max_attempts: int = 1,
    ) -> Call[models.KeyedAddedClaim]:
        """`keyed_add`, and a claim if there is a place for it and none waits before it."""
        return self._call("keyed_add_and_claim", one(models.KeyedAddedClaim), locals())

    def keyed_claim(
        self,
        queue: str,
        key: str | None = None,
        id: int | None = None,
        concurrency: int | None = 1,
        process_id: str | None = None,
    ) -> Call[models.KeyedClaim]:
        """Claims one item, of at most `concurrency` active ones; `refused` says why not."""
        return self._call("keyed_claim", one(models.KeyedClaim), locals())

    def keyed_claim_next(
        self, queue: str, concurrency: int | None = None, process_id: str | None = None, n: int = 1
    ) -> Call[list[models.KeyedNext]]:
        """Claims the next items, up to n, in the order of priority and age."""
        return self._call("keyed_claim_next", many(models.KeyedNext), locals())

    def keyed_get(
        self, queue: str | None = None, key: str | None = None, id: int | None = None
    ) -> Call[models.KeyedItemInfo | None]:
        """One item, None when it is gone."""
        return self._call("keyed_get", _any(models.KeyedItemInfo), locals())

    def keyed_cancel(
        self, queue: str | None = None, key: str | None = None, id: int | None = None
    ) -> Call[models.KeyedItemInfo | None]:
        """Removes an item and tells what it was, to one caller; None when it is gone."""
        return self._call("keyed_cancel", _any(models.KeyedItemInfo), locals())

    def keyed_heartbeat(self, queue: str | None = None, key: str | None = None, id: int | None = None) -> Call[bool]:
        """The item is still being executed; False: it is gone, stop."""
        return self._call("keyed_heartbeat", value, locals())

    def keyed_merge_extra(
        self, queue: str | None = None, key: str | None = None, id: int | None = None, extra: str | None = None
    ) -> Call[bool]:
        """Merges a JSON object into the item's extra; JSON null clears it. False: the item is gone."""
        return self._call("keyed_merge_extra", value, locals())

    def keyed_extend(self, id: int, orphan_ms: int) -> Call[bool]:
        """Asks for the item again, so that it is not orphaned. False: it is gone."""
        return self._call("keyed_extend", value, locals())

    def keyed_ack(
        self,
        queue: str | None = None,
        key: str | None = None,
        id: int | None = None,
        result: str | None = None,
        ttl: Seconds | None = None,
    ) -> Call[bool]:
        """Ends the item with a result (None: without one), kept for `ttl`. False: it is gone, nothing is changed."""
        return self._call("keyed_ack", value, locals())

    def keyed_result(self, queue: str, key: str, external_id: str | None = None) -> Call[models.KeyedResult | None]:
        """The newest result of the key: once, or with the external_id of a request any number of times."""
        return self._call("keyed_result", _any(models.KeyedResult), locals())

    def keyed_result_by_id(
        self, id: int, external_id: str | None = None, hide: bool = True
    ) -> Call[models.KeyedResult | None]:
        """The result of one item, any number of times; `hide`: not by key any more."""
        return self._call("keyed_result_by_id", _any(models.KeyedResult), locals())

    def keyed_wait(self, id: int, timeout: Seconds = 60) -> Call[tuple[str | None, str]]:
        """Polls on the server until the item has ended or time is up: result and state. Needs autocommit."""
        return self._call("keyed_wait", _waited, locals())

    def keyed_state(self, id: int) -> Call[str]:
        """pending, active, succeeded, failed, cancelled or gone."""
        return self._call("keyed_state", value, locals())

    def keyed_list(self, queue: str, process_id: str | None = None) -> Call[list[models.KeyedListed]]:
        """Items with their payloads, in the order of priority and age."""
        return self._call("keyed_list", many(models.KeyedListed), locals())

    def keyed_keys(self, queue: str, process_id: str | None = None) -> Call[list[models.KeyedLine]]:
        """The same without payloads."""
        return self._call("keyed_keys", many(models.KeyedLine), locals())

    def keyed_pending(self, queue: str, process_id: str | None = None) -> Call[list[models.KeyedLine]]:
        """Those that wait, in the order in which they are to be claimed."""
        return self._call("keyed_pending", many(models.KeyedLine), locals())

    def keyed_active(self, queue: str, process_id: str | None = None) -> Call[list[models.KeyedLine]]:
        """Those that are being executed, by id."""
        return self._call("keyed_active", many(models.KeyedLine), locals())

    def keyed_stalled(self, queue: str, heartbeat_ms: int) -> Call[list[models.KeyedRef]]:
        """Active items without a heartbeat for so long."""
        return self._call("keyed_stalled", many(models.KeyedRef), locals())

    def keyed_orphaned(self, queue: str, orphan_ms: int) -> Call[list[models.KeyedRef]]:
        """Waiting items whose deadline has passed."""
        return self._call("keyed_orphaned", many(models.KeyedRef), locals())

    def keyed_to_cancel(
        self, queue: str, heartbeat_ms: int | None = None, orphan_ms: int | None = None
    ) -> Call[list[models.KeyedRef]]:
        """Both; None leaves that half out."""
        return self._call("keyed_to_cancel", many(models.KeyedRef), locals())

    def keyed_reap(
        self,
        queue: str,
        heartbeat_ms: int | None = None,
        orphan_ms: int | None = None,
        max: int = 1000,
        release: bool = False,
    ) -> Call[list[models.KeyedReaped]]:
        """Removes those, each told to one caller. `release`: stalled ones go back to where they wait."""
        return self._call("keyed_reap", many(models.KeyedReaped), locals())

    def keyed_stage(self, queue: str, stage_key: str, priority: int | None = None) -> Call[models.KeyedStage | None]:
        """How far the first item with this stage_key is, None when there is none."""
        return self._call("keyed_stage", _any(models.KeyedStage), locals())

    def keyed_truncate(self, queue: str) -> Call[int]:
        """Cancels all items of a queue and forgets its results; returns how many items there were."""
        return self._call("keyed_truncate", value, locals())

    def next_number(self, name: str) -> Call[int]:
        """1, 2, 3, … under this name."""
        return self._call("next_number", value, locals())


def _any(model: Callable[..., T]) -> Callable[[list[Row]], T | None]:
    def decode(rows: list[Row]) -> T | None:
        return model(*rows[0]) if rows else None

    return decode


def _waited(rows: list[Row]) -> tuple[str | None, str]:
    payload, state = rows[0]
    return payload, state

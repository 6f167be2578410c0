"""Contexts of batches, asked for once: all slices of a batch share one."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from pgqueue.models import JSON

__all__ = ["Contexts"]

_MOST = 200
"""Batches at work at a time in one worker are few; what is pushed out is asked for again."""


class Contexts:
    """`ask` gives the context of a batch; it never changes."""

    def __init__(self, ask: Callable[[int], Awaitable[JSON]]) -> None:
        self._ask = ask
        self._known: OrderedDict[int, asyncio.Future[JSON]] = OrderedDict()

    async def of(self, batch: int) -> JSON:
        """The context. Raises what `ask` raises, and asks again the next time."""
        known = self._known.get(batch)
        if known is None:
            known = self._known[batch] = asyncio.ensure_future(self._ask(batch))
            known.add_done_callback(lambda future: self._forget_failure(batch, future))
            if len(self._known) > _MOST:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(batch)
        # who asked first may be cancelled; the others wait for the same answer
        return known.result() if known.done() else await asyncio.shield(known)

    def _forget_failure(self, batch: int, future: asyncio.Future[JSON]) -> None:
        if (future.cancelled() or future.exception() is not None) and self._known.get(batch) is future:
            del self._known[batch]

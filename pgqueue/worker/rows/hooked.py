"""A slice with middleware around: one call of it for all its rows."""

from __future__ import annotations

from typing import Any

from pgqueue._hooks import AppHooks
from pgqueue._json import JsonText
from pgqueue.errors import PgQueueError
from pgqueue.middleware import JobRun
from pgqueue.outcomes import Cancel, Discard, Retry, Settlement, Snooze, settlement_of_outcome
from pgqueue.worker.rows.slices import Slice

__all__ = ["HookedSlice"]


class HookedSlice:
    """Runs a slice as the innermost of its App's middleware. What becomes of the rows is the processor's to say, so
    `proceed` returns None, and what a middleware returns counts only when it is an outcome.
    """

    def __init__(self, inner: Slice, hooks: AppHooks, run: JobRun) -> None:
        self._inner = inner
        self._hooks = hooks
        self._run = run
        self._said: JsonText | Settlement | None = None

    def run(self, init: Any) -> JsonText | Settlement:
        """Raises what the middleware raises."""

        def rows(_: JobRun) -> None:
            self._said = self._inner.run(init)

        return self._whole(self._hooks.around(rows, is_async=False)(self._run))

    async def arun(self, init: Any) -> JsonText | Settlement:
        """The same on the event loop."""

        async def rows(_: JobRun) -> None:
            self._said = await self._inner.arun(init)

        return self._whole(await self._hooks.around(rows, is_async=True)(self._run))

    def _whole(self, value: Any) -> JsonText | Settlement:
        if isinstance(value, Retry | Snooze | Cancel | Discard):
            return settlement_of_outcome(value)
        if self._said is None:
            raise PgQueueError(
                "a middleware has kept a slice of rows from its processor, and said no outcome",
                "it calls proceed(job), or returns Retry, Snooze, Cancel or Discard",
            )
        return self._said

"""The processors that the bench's own workers run."""

from __future__ import annotations

import time

from pgqueue import App
from pgqueue.rows import Row

app = App()


@app.processor("bench", "noop")
async def noop(row: Row) -> None:
    """Nothing, on the event loop."""


@app.processor("bench", "noop_sync")
def noop_sync(row: Row) -> None:
    """Nothing, in a thread."""


@app.processor("bench", "stamp")
async def stamp(row: Row) -> float:
    """The time at which it was begun, on the clock that all processes of a machine share."""
    return time.monotonic()

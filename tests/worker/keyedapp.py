"""Executors for worker processes under test. What they note stands in a file that the payload names."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from pgqueue import App, KeyedItem
from tests.worker.rowsapp import note

__all__ = ["app"]

app = App()


def _cancelled(item: KeyedItem) -> None:
    note(item.payload, f"cancel {item.key} {item.extra.get('handle')}")


async def _acancelled(item: KeyedItem) -> None:
    _cancelled(item)


def _begin(item: KeyedItem) -> None:
    note(item.payload, f"begin {item.key} {os.getpid()}")


@app.keyed("echo")
def echo(item: KeyedItem) -> Any:
    _begin(item)
    if "raise" in item.payload:
        raise ValueError(item.payload["raise"])
    if item.payload.get("unfit"):
        return {1, 2}
    return {"key": item.key, "payload": item.payload, "extra": item.extra, "attempt": item.attempt}


@app.keyed("aecho")
async def aecho(item: KeyedItem) -> Any:
    return echo(item)


@app.keyed("gate", on_cancel=_cancelled)
def gate(item: KeyedItem) -> str:
    """Until the file named `gate` is there, or somebody wants it to stop."""
    item.merge_extra({"handle": f"h-{item.key}"})
    _begin(item)
    while not Path(item.payload["gate"]).exists():
        if item.cancelled:
            note(item.payload, f"stopped {item.key}")
            break
        time.sleep(0.005)
    return "opened"


@app.keyed("agate", on_cancel=_acancelled)
async def agate(item: KeyedItem) -> str:
    await item.amerge_extra({"handle": f"h-{item.key}"})
    _begin(item)
    try:
        while not Path(item.payload["gate"]).exists():
            await asyncio.sleep(0.005)
    except asyncio.CancelledError:
        note(item.payload, f"stopped {item.key}")
        raise
    return "opened"


@app.keyed("short", timeout=0.3, on_cancel=_cancelled)
def short(item: KeyedItem) -> str:
    return gate(item)


@app.keyed("ashort", timeout=0.3, on_cancel=_acancelled)
async def ashort(item: KeyedItem) -> str:
    return await agate(item)


@app.keyed("two", concurrency=2)
async def two(item: KeyedItem) -> int:
    _begin(item)
    await asyncio.sleep(item.payload.get("seconds", 0.02))
    note(item.payload, f"end {item.key}")
    return int(item.key)


@app.keyed("one", concurrency=1, orphan=0.5, on_cancel=_cancelled)
async def one(item: KeyedItem) -> str:
    return await agate(item)


@app.keyed("own", process_id="p")
def own(item: KeyedItem) -> str:
    _begin(item)
    return item.key

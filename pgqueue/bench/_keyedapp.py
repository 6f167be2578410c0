"""The executor that the bench's own workers run."""

from __future__ import annotations

from typing import Any

from pgqueue import App, KeyedItem

app = App()


@app.keyed("bench")
async def echo(item: KeyedItem) -> Any:
    """What it was asked, on the event loop."""
    return item.payload

"""Tasks that run for as long as the worker does. One that ends with an exception is a bug: it is logged, and the
worker gives itself up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeAlias

__all__ = ["Crash", "background"]

logger = logging.getLogger("pgqueue.worker")

Crash: TypeAlias = Callable[[str], None]


def background(
    coroutine: Coroutine[Any, Any, None], name: str, on_crash: Crash, *, context: Context | None = None
) -> asyncio.Task[None]:
    """A task whose failure is noticed; `on_crash` gets a sentence."""

    def look(task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            logger.critical("%s has crashed", name, exc_info=error)
            on_crash(f"{name} has crashed: {error!r}")

    task = asyncio.get_running_loop().create_task(coroutine, name=f"pgqueue {name}", context=context)
    task.add_done_callback(look)
    return task

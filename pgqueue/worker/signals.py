"""SIGTERM and SIGINT: the first asks for a soft stop, the next for a hard one."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["HANDLED", "handled_signals"]

logger = logging.getLogger("pgqueue.worker")

HANDLED = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def handled_signals(on_signal: Callable[[signal.Signals], None], *, wanted: bool = True) -> Iterator[None]:
    """Within, each of these signals calls `on_signal` on the running event loop. Only the main thread can have that;
    elsewhere nothing changes.
    """
    if not wanted:
        yield
        return
    if threading.current_thread() is not threading.main_thread():
        logger.debug("not in the main thread: signals are left to the application")
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in HANDLED}
    for number in HANDLED:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            if handler is not None:
                signal.signal(number, handler)

"""The handlers the tests run. Those that wait do so on gates of this process, or for good."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from typing import Any

from pgqueue import App, Cancel, Context, Discard, Retry, Snooze
from pgqueue.worker import current_context

app = App()


class Gates:
    """Named events that handlers wait for and tests open, when both are in one process."""

    def __init__(self) -> None:
        self._gates: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def __getitem__(self, name: str) -> threading.Event:
        with self._lock:
            return self._gates.setdefault(name, threading.Event())

    def clear(self) -> None:
        with self._lock:
            self._gates.clear()


gates = Gates()
running = 0
most_running = 0
_count = threading.Lock()


def _enter() -> None:
    global running, most_running
    with _count:
        running += 1
        most_running = max(most_running, running)


def _leave() -> None:
    global running
    with _count:
        running -= 1


def reset() -> None:
    """Before a test that counts."""
    global running, most_running
    running = most_running = 0
    gates.clear()


@app.task
async def add(a: int, b: int) -> int:
    return a + b


@app.task
def sync_add(a: int, b: int) -> int:
    return a + b


@app.task
async def nothing() -> None:
    return None


@app.task
def sync_nothing() -> None:
    return None


@app.task
async def fail(message: str = "no") -> None:
    raise ValueError(message)


@app.task
def sync_fail(message: str = "no") -> None:
    raise ValueError(message)


@app.task
async def leave(code: int) -> None:
    sys.exit(code)


@app.task
def sync_leave(code: int) -> None:
    sys.exit(code)


@app.task
async def outcome(what: str, delay: float = 0) -> Any:
    match what:
        case "retry":
            return Retry(delay, "again")
        case "snooze":
            # once, then done
            context = current_context()
            if gates[f"snoozed {context.job_id}"].is_set():
                return "rested"
            gates[f"snoozed {context.job_id}"].set()
            return Snooze(delay)
        case "cancel":
            return Cancel("not wanted")
        case "discard":
            return Discard("hopeless")
        case "set":
            return {1, 2}
        case "nul":
            return "a\0b"
        case "nan":
            return float("nan")
        case "echo":
            return {"text": 'quotes " and \\ and {braces}, NULL, \u00e9\U0001f600', "none": None}


@app.task
def sync_set() -> Any:
    return {1, 2}


@app.task
async def flaky(context: Context, good_at: int) -> int:
    """Fails until its attempt `good_at`."""
    if context.attempt < good_at:
        raise RuntimeError(f"attempt {context.attempt}")
    return context.attempt


@app.task
async def gate(name: str) -> str:
    """Waits for a gate, on the event loop."""
    _enter()
    try:
        while not gates[name].is_set():
            await asyncio.sleep(0.005)
        return name
    finally:
        _leave()


@app.task
def sync_gate(name: str) -> str:
    """Waits for a gate, in a thread."""
    _enter()
    try:
        gates[name].wait(30)
        return name
    finally:
        _leave()


@app.task
async def hang(context: Context) -> None:
    """For good, unless cancelled."""
    await asyncio.sleep(3600)


@app.task
async def stubborn(name: str) -> str:
    """Does not let itself be cancelled before its gate is open."""
    while not gates[name].is_set():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            continue
    return "at last"


@app.task
def sync_hang() -> None:
    """For good, and nothing helps."""
    threading.Event().wait(3600)


@app.task
def polite(context: Context, name: str = "polite") -> str:
    """A sync handler that looks whether it is to stop."""
    gates[name].set()
    while not context.cancelled:
        time.sleep(0.005)
    return "stopped politely"


@app.task
async def cleanup(name: str) -> None:
    """Opens a gate when it is cancelled."""
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        gates[name].set()
        raise


@app.task
async def block_on(name: str) -> str:
    """Blocks the event loop until a gate opens."""
    gates[name].wait(30)
    return "blocked"


@app.task
async def crash() -> None:
    """Takes the process down with it."""
    os.kill(os.getpid(), 9)


@app.task
async def note(file: str, wait: float = 0) -> int:
    """Leaves a line in a file for every time it has run to its end."""
    if wait:
        await asyncio.sleep(wait)
    context = current_context()
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{context.job_id}\n".encode())
    os.close(descriptor)
    return context.job_id


@app.task
async def report(context: Context, steps: int) -> dict[str, Any]:
    """Tells its progress."""
    for step in range(steps):
        await context.aprogress({"step": step})
    context.progress({"step": steps})
    return {"headers": context.headers, "queue": context.queue, "kind": context.kind}


@app.task
def sync_report(context: Context, steps: int) -> int:
    for step in range(steps):
        context.progress({"step": step})
    return steps

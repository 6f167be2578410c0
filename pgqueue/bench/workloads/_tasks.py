"""The tasks that these workloads' workers run: one that writes down when it ran, one that gives back what it got."""

from __future__ import annotations

import asyncio
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pgqueue import App, Context, Retry

BOOKS = "PGQUEUE_BENCH_BOOKS"
"""Folder in which every process that runs `book` keeps a file."""

APP = f"{__name__}:app"
RETRIED = 10
"""Every so manieth job asks for a second attempt."""

_ENTRY = struct.Struct("!qhhdd")
app = App()
_folder = os.environ.get(BOOKS)
_file: int | None = None


class Entry(NamedTuple):
    """One run of a job, told by its handler. The times are of the clock that all processes of a machine share."""

    job: int
    attempt: int
    line: int
    began: float
    ended: float


@app.task("book")
async def book(context: Context, line: int, wait: float = 0.0) -> Retry | None:
    """Write down the run, in one write that is whole or not at all; one in ten asks for another."""
    began = time.monotonic()
    await asyncio.sleep(wait)
    os.write(_open(), _ENTRY.pack(context.job_id, context.attempt, line, began, time.monotonic()))
    return Retry(0) if context.attempt == 1 and context.job_id % RETRIED == 0 else None


@app.task("echo")
async def echo(blob: str) -> str:
    """What came in goes out."""
    return blob


def entries(folder: Path) -> Iterator[Entry]:
    """All that was written down so far."""
    for file in folder.glob("*.book"):
        yield from map(Entry._make, _ENTRY.iter_unpack(file.read_bytes()))


def _open() -> int:
    global _file
    if _file is None:
        if _folder is None:
            raise RuntimeError(f"{BOOKS} names no folder")
        _file = os.open(f"{_folder}/{os.getpid()}.book", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return _file

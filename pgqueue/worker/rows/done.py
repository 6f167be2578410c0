"""The end of a batch: its output files go to the store, and its callback is called.

Both happen at least once: a worker that is lost in between leaves the job to another. So the store is given the same
names again, and a callback has to bear being called twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pgqueue.rows import BatchDone, OutputFile
from pgqueue.worker.rows.blocks import Blocks

if TYPE_CHECKING:
    from pgqueue.stores import ObjectStore
    from pgqueue.worker.sql import Engine

__all__ = ["call_back", "find_ending", "stored"]

_CHARS = 1_000_000


async def find_ending(engine: Engine, args: dict[str, Any]) -> BatchDone:
    """What the queue says of a batch that is over. Raises UnknownJob when it is forgotten already."""
    if args["kind"] == "batch":
        return await _ending_of_batch(engine, args["batch"])
    return await _ending_of_slow_query(engine, args["batch"], args["app"], args["op"])


async def _ending_of_batch(engine: Engine, batch: int) -> BatchDone:
    info = await engine.call(engine.calls.batch_status(batch))
    return BatchDone(
        info.id,
        info.app,
        info.op,
        "batch",
        info.status,
        info.context,
        rows=info.rows,
        succeeded=info.succeeded,
        failed=info.failed,
        aborted=info.aborted,
        files=_files(info.files or {}),
    )


async def _ending_of_slow_query(engine: Engine, batch: int, app: str, op: str) -> BatchDone:
    status = await engine.call(engine.calls.slow_query_status(batch))
    context = await engine.call(engine.calls.batch_context(batch))
    succeeded, failed, aborted = (int(status.status == each) for each in ("succeeded", "failed", "aborted"))
    return BatchDone(
        batch,
        app,
        op,
        "slow_query",
        status.status,
        context,
        rows=1,
        succeeded=succeeded,
        failed=failed,
        aborted=aborted,
        files=_files(status.files or {}),
    )


def _files(told: dict[str, Any]) -> dict[str, OutputFile]:
    return {name: OutputFile(name, told[name]["lines"], told[name]["chars"]) for name in sorted(told)}


def stored(engine: Engine, loop: asyncio.AbstractEventLoop, store: ObjectStore, done: BatchDone) -> BatchDone:
    """The same with locations: every file has gone to the store, piece by piece. In a thread."""

    def pieces(name: str) -> Iterator[str]:
        line: int | None = None
        row: int | None = None
        while True:
            call = engine.calls.output_file(done.id, name, line, row, _CHARS)
            piece = asyncio.run_coroutine_threadsafe(engine.call(call), loop).result()
            if piece.data:
                yield piece.data
            if piece.is_last:
                return
            line, row = piece.next_line, piece.next_row

    files = {
        name: replace(file, location=store.put(object_name(done, name), pieces(name)))
        for name, file in done.files.items()
    }
    return replace(done, files=files)


def object_name(done: BatchDone, name: str) -> str:
    """app/op/id/file, each part quoted: names of files may be anything."""
    return "/".join(_quoted(part) for part in (done.app, done.op, str(done.id), name))


def _quoted(part: str) -> str:
    text = quote(part, safe=" ")
    return text.replace(".", "%2E") if not text.strip(".") else text


def call_back(blocks: Blocks, mark_done: Any, done: BatchDone) -> None:
    """A sync callback, in a thread. Raises InitFailed, and what it raises."""
    mark_done(replace(done, init=blocks.get(done.app)))

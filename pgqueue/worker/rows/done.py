"""The end of a batch: its output files go to the store, and its callback is called.

Both happen at least once: a worker that is lost in between leaves the job to another. So the store is given the same
names again, and a callback has to bear being called twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pgqueue.models import JSON, BatchInfo, SlowQueryStatus
from pgqueue.rows import BatchDone, OutputFile

if TYPE_CHECKING:
    from pgqueue.stores import ObjectStore

__all__ = ["ending_of_batch", "ending_of_slow_query", "stored"]


def ending_of_batch(info: BatchInfo) -> BatchDone:
    """Of a batch that is over."""
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


def ending_of_slow_query(args: dict[str, Any], status: SlowQueryStatus, context: JSON) -> BatchDone:
    """Of a slow query that is over. `args`: those of the rows.done job."""
    succeeded, failed, aborted = (int(status.status == each) for each in ("succeeded", "failed", "aborted"))
    return BatchDone(
        args["batch"],
        args["app"],
        args["op"],
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


def stored(store: ObjectStore, done: BatchDone, read: Callable[[str], Iterable[str]]) -> BatchDone:
    """The same with locations: every file has gone to the store, piece by piece. `read` gives the pieces of a file."""
    files = {
        name: replace(file, location=store.put(object_name(done, name), read(name)))
        for name, file in done.files.items()
    }
    return replace(done, files=files)


def object_name(done: BatchDone, name: str) -> str:
    """app/op/id/file, each part quoted: names of files may be anything."""
    return "/".join(_quoted(part) for part in (done.app, done.op, str(done.id), name))


def _quoted(part: str) -> str:
    text = quote(part, safe=" ")
    return text.replace(".", "%2E") if not text.strip(".") else text

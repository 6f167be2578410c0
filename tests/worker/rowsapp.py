"""Processors for worker processes under test. What they note stands in a file that the batch's context names."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from pgqueue import App
from pgqueue.rows import Aborted, BatchDone, Failed, Message, Row, Success, TryLater

__all__ = ["app"]

app = App()


def note(context: Any, text: str) -> None:
    """One line, whole, whoever else writes."""
    handle = os.open(context["file"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(handle, f"{text}\n".encode())
    finally:
        os.close(handle)


def noted(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def _done(done: BatchDone) -> None:
    if "file" in done.context:
        note(done.context, f"done {done.id} {done.status} {done.succeeded}/{done.failed}/{done.aborted}")


def _of_every_kind(row: Row) -> Any:
    what = row.input["what"]
    if what == "value":
        return {"line": row.line, "context": row.context}
    if what == "nothing":
        return None
    if what == "success":
        return Success([1], [Message(1, "fine", "f", ["v"])], {"a.csv": f"{row.line};x", "b.csv": ["1", "", "3"]})
    if what == "failed":
        return Failed(messages=[Message(7, "bad", vals=("x",))])
    if what == "aborted":
        return Aborted()
    if what == "raise":
        raise ValueError(f"line {row.line}")
    if what == "later":
        return TryLater(0) if row.tries < 2 else {"tries": row.tries}
    if what == "unfit":
        return {"set": {1}}
    if what == "unfit output":
        return Success(output={"a.csv": 5})  # type: ignore[dict-item]
    raise AssertionError(what)


@app.processor("tests", "Kinds", mark_done=_done)
def kinds(row: Row) -> Any:
    return _of_every_kind(row)


@app.processor("tests", "akinds")
async def akinds(row: Row) -> Any:
    await asyncio.sleep(0)
    return _of_every_kind(row)


@app.processor("tests", "note", mark_done=_done)
def write_down(row: Row) -> None:
    note(row.context, f"{row.line} {os.getpid()}")


@app.processor("tests", "slow", mark_done=_done)
def slow(row: Row) -> str:
    """Until the batch's file named `gate` is there, or somebody wants it to stop."""
    note(row.context, f"{row.line} {os.getpid()}")
    while not Path(row.context["gate"]).exists():
        if row.cancelled:
            note(row.context, f"stopped {row.line}")
            break
        time.sleep(0.005)
    return "opened"


@app.processor("tests", "aslow", mark_done=_done)
async def aslow(row: Row) -> None:
    note(row.context, f"{row.line} {os.getpid()}")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        note(row.context, f"stopped {row.line}")
        raise


@app.processor("tests", "killer", mark_done=_done)
def killer(row: Row) -> int:
    """One row kills its worker."""
    note(row.context, f"{row.line} {os.getpid()}")
    if row.input == "kill":
        os.kill(os.getpid(), 9)
    return row.line


@app.slow_query("tests", "report", mark_done=_done)
def report(row: Row) -> Any:
    if row.input.get("raise"):
        raise ValueError("no report")
    return Success({"line": row.line, **row.input}, output={"report.txt": ["one", "two"]})


@app.task
def note_job(file: str, text: str, about: Any = None, fails: bool = False) -> None:
    """Beside rows, a job."""
    if fails:
        raise ValueError("as it was told")
    said = "" if about is None else f" {dict(sorted(about.items()))}"
    note({"file": file}, text + said)

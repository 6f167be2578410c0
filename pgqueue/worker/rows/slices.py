"""The rows of a slice, one after the other, and the document that says what became of them.

A slice is settled whole: its document has a part for every row. When it has to stop in between, what is done is done:
the rest is put off, to be taken up by others, unless the batch is aborted, whose late results nobody wants.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

from pgqueue._json import JsonText, dumps, dumps_lossy
from pgqueue.errors import PgQueueError
from pgqueue.models import JSON
from pgqueue.outcomes import Settlement
from pgqueue.rows import Aborted, Failed, Message, Processor, Row, Success, TryLater, made_row
from pgqueue.worker.job import StopReason

__all__ = ["Slice"]

logger = logging.getLogger("pgqueue.worker")

_STATUS: dict[type, str] = {Success: "succeeded", Failed: "failed", Aborted: "aborted"}
_MOST_PUT_OFF = 100
"""Rows put off go on as slices of their own; a large slice that has hardly begun is better given back whole."""
_RETURNED = "what the processor returned"


class Stoppable(Protocol):
    """The job of a slice."""

    @property
    def stop(self) -> StopReason | None: ...


class Slice:
    """One claim of one slice."""

    def __init__(self, job: Stoppable, processor: Processor, context: JSON, args: Mapping[str, Any]) -> None:
        self._job = job
        self._processor = processor
        self._context = context
        self._op: str = args["op"]
        self._batch: int = args["batch"]
        self._rows: list[list[Any]] = args["rows"]
        self.raised: BaseException | None = None
        """The first exception of a row."""

    def run(self, init: Any) -> JsonText | Settlement:
        """All rows, in this thread."""
        said: list[JsonText] = []
        process = self._processor.fn
        for row in self._rows:
            if self._job.stop is not None:
                break
            try:
                said.append(self._heard(row[0], process(self._made(row, init))))
            except Exception as error:
                said.append(self._raised(row, error))
        return self._settled(said)

    async def arun(self, init: Any) -> JsonText | Settlement:
        """All rows, on the event loop."""
        said: list[JsonText] = []
        process = self._processor.fn
        for row in self._rows:
            if self._is_stopped():
                break
            try:
                said.append(self._heard(row[0], await process(self._made(row, init))))
            except asyncio.CancelledError as error:
                if self._is_stopped():
                    break
                if _is_cancelled():
                    raise  # the worker leaves
                said.append(self._raised(row, error))
            except Exception as error:
                said.append(self._raised(row, error))
        return self._settled(said)

    def _made(self, row: Sequence[Any], init: Any) -> Row:
        tries = row[3] if len(row) > 3 else 0
        return made_row(
            self._batch, self._processor.app, self._op, self._context, row[1], row[2], row[0], tries, init,
            self._is_stopped,
        )  # fmt: skip

    def _is_stopped(self) -> bool:
        return self._job.stop is not None

    def _heard(self, row: int, value: Any) -> JsonText:
        """What a processor has returned, as its part of the document. Raises what is wrong with it."""
        if value is None:
            return JsonText(f'{{"row":{row},"status":"succeeded"}}')
        kind = type(value)
        if kind is TryLater:
            delay = value.delay.total_seconds() if isinstance(value.delay, timedelta) else float(value.delay)
            return _later(row, max(delay, 0.0))
        status = _STATUS.get(kind)
        if status is None:
            return dumps({"row": row, "status": "succeeded", "result": value}, _RETURNED)
        said: dict[str, JSON] = {"row": row, "status": status}
        if value.result is not None:
            said["result"] = value.result
        if value.messages:
            said["messages"] = [_message(message) for message in value.messages]
        if value.output:
            said["output"] = {_text(name): _lines(lines) for name, lines in value.output.items()}
        return dumps(said, _RETURNED)

    def _raised(self, row: Sequence[Any], error: BaseException) -> JsonText:
        # The first one of a slice with its traceback: a batch may have a hundred thousand rows with the same fault.
        logger.log(
            logging.WARNING if self.raised is None else logging.DEBUG,
            "a processor raised",
            exc_info=error,
            extra={"batch": self._batch, "app": self._processor.app, "op": self._processor.op, "line": row[1]},
        )
        self.raised = self.raised or error
        text = error.message if isinstance(error, PgQueueError) else str(error)
        return _failed(row[0], f"{type(error).__name__}: {text}" if text else type(error).__name__)

    def _settled(self, said: list[JsonText]) -> JsonText | Settlement:
        left = self._rows[len(said) :]
        if left:
            if self._job.stop == "cancel":
                return Settlement("cancelled")
            if not said or len(left) > _MOST_PUT_OFF:
                return Settlement("release")
            said += [_later(row[0], 0.0) for row in left]
        return JsonText("[" + ",".join(said) + "]")


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _later(row: int, delay: float) -> JsonText:
    return dumps({"row": row, "status": "later", "delay": delay}, "delay")


def _failed(row: int, text: str) -> JsonText:
    message = {"msgid": 10, "errcode": "processing_error", "vals": [text]}
    return dumps_lossy({"row": row, "status": "failed", "messages": [message]})


def _message(message: Any) -> JSON:
    if not isinstance(message, Message):
        raise TypeError(f"messages must be pgqueue.rows.Message, not {type(message).__name__}")
    said: dict[str, JSON] = {"msgid": message.msgid, "errcode": message.errcode}
    if message.field is not None:
        said["field"] = message.field
    if message.vals:
        said["vals"] = [str(value) for value in message.vals]
    return said


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"output files and their lines are texts, not {type(value).__name__}")
    return value


def _lines(lines: Any) -> JSON:
    return lines if isinstance(lines, str) else [_text(line) for line in lines]

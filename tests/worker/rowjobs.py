"""Batches seen from a test: a client of its own, and workers."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pgqueue import App, Client
from pgqueue.models import BatchInfo, RowOutcome
from tests.support.cluster import Database
from tests.worker.harness import DEADLINE, Inside, Process, until
from tests.worker.rowsapp import app as row_app
from tests.worker.rowsapp import noted

__all__ = ["RowJobs"]


class RowJobs:
    """`client.batches`, and what tests ask of them."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.dsn = database.dsn
        self.connect = database.connect
        self.connection = database.connect()
        self.client = Client(connection=self.connection)
        self.batches = self.client.batches
        self.file = folder / "notes"
        self.gate = folder / "gate"

    def worker(self, app: App = row_app, **settings: Any) -> Inside:
        return Inside(app, self.dsn, **settings)

    def process(self, **settings: Any) -> Process:
        return Process(self.dsn, app="tests.worker.rowsapp:app", **settings)

    def submit(self, op: str, inputs: Iterable[Any], *, app: str = "tests", **options: Any) -> int:
        """Lines from 1."""
        context = {"file": str(self.file), "gate": str(self.gate)}
        return self.batches.submit(app, op, context, enumerate(inputs, 1), **options)

    def over(self, batch: int, seconds: float = DEADLINE) -> BatchInfo:
        return self.batches.wait(batch, seconds)

    def rows(self, batch: int) -> list[RowOutcome]:
        return list(self.batches.rows(batch))

    def notes(self) -> list[str]:
        return noted(self.file)

    def until_noted(self, text: str, count: int = 1, seconds: float = DEADLINE) -> None:
        """Returns when so many notes begin like that."""
        until(lambda: sum(note.startswith(text) for note in self.notes()) >= count, f"a note {text!r}", seconds)

    def lines(self) -> list[int]:
        """Of the rows that processors have noted, in the order of the notes."""
        return [int(note.split()[0]) for note in self.notes() if note[0].isdigit()]

    def kill(self, worker: Process) -> None:
        worker.signal(signal.SIGKILL)
        worker.exit_code()

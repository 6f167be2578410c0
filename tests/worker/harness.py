"""Workers under test: in a thread of this process, or in a process of their own. Both record their events; tests wait
for those.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from pgqueue import App
from pgqueue.worker import Ended, Event, Worker
from tests.support.cluster import wait_for as until

__all__ = ["DEADLINE", "QUICK", "ROOT", "Inside", "Jobs", "Process", "Recorder", "until"]

DEADLINE = 20.0
ROOT = Path(__file__).resolve().parents[2]

# What a test worker differs in from a real one: it does not make the test wait.
QUICK: dict[str, Any] = {"poll_interval": 0.2, "heartbeat_interval": 0.3, "patience": 0.3, "grace": 1}


class Recorder:
    """Events as they come, and waiting for them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._news = threading.Condition()
        self.problem: BaseException | None = None
        self.is_over = False

    def record(self, event: Event) -> None:
        with self._news:
            self.events.append(event)
            self._news.notify_all()

    def over(self, problem: BaseException | None = None) -> None:
        with self._news:
            self.is_over = True
            self.problem = problem
            self._news.notify_all()

    def seen(self, name: str, **facts: Any) -> list[Event]:
        """The events of this name so far that carry these facts."""
        return [e for e in list(self.events) if e.name == name and facts.items() <= e.facts.items()]

    def wait(self, name: str, *, count: int = 1, seconds: float = DEADLINE, **facts: Any) -> Event:
        """The count-th such event, as soon as there is one. Fails when it does not come."""
        with self._news:
            self._news.wait_for(lambda: len(self.seen(name, **facts)) >= count or self.is_over, seconds)
        found = self.seen(name, **facts)
        if self.problem is not None:
            raise self.problem
        assert len(found) >= count, f"no {name} {facts} x {count} within {seconds} s; there were {self.events}"
        return found[count - 1]


class Inside(Recorder):
    """A worker in a thread of this process, with its own event loop; stopped at the end of the block."""

    def __init__(self, app: App, dsn: str, **settings: Any) -> None:
        super().__init__()
        self.worker = Worker(app, dsn=dsn, on_event=self.record, **(QUICK | settings))
        self.ended: Ended | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="worker under test")

    def _run(self) -> None:
        async def main() -> Ended:
            self._loop = asyncio.get_running_loop()
            return await self.worker.run()

        try:
            self.ended = asyncio.run(main())
        except BaseException as problem:
            self.over(problem)
        else:
            self.over()

    def __enter__(self) -> Self:
        self._thread.start()
        self.wait("registered")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(hard=error is not None)
        if self.problem is not None and error is None:
            raise self.problem

    @property
    def worker_id(self) -> int | None:
        return self.worker.worker_id

    def call(self, function: Callable[[], None]) -> None:
        """On the worker's event loop, soon."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(function)

    def stop(self, *, hard: bool = False) -> Ended | None:
        if self._thread.is_alive():
            with suppress(RuntimeError):  # it may have ended just now
                self.call(lambda: self.worker.stop(hard=hard))
        return self.join()

    def join(self) -> Ended | None:
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive(), f"the worker does not end; it said {self.events[-5:]}"
        return self.ended


class Process(Recorder):
    """A worker process (tests.worker.process), for signals, kills and crashes; killed at the end of the block."""

    module = "tests.worker.process"

    def __init__(self, dsn: str, app: str = "tests.worker.tasks:app", **settings: Any) -> None:
        super().__init__()
        options = {"app": app, "dsn": dsn, **(QUICK | settings)}
        self.popen = subprocess.Popen(
            [sys.executable, "-m", self.module, json.dumps(options)],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[str] = []
        self._readers = [threading.Thread(target=self._read), threading.Thread(target=self._read_log)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            facts = json.loads(line)
            self.record(Event(facts.pop("name"), facts))
        self.over()

    def _read_log(self) -> None:
        assert self.popen.stderr is not None
        self.log.extend(self.popen.stderr)

    @property
    def pid(self) -> int:
        return self.popen.pid

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def exit_code(self, seconds: float = DEADLINE) -> int:
        code = self.popen.wait(seconds)
        for reader in self._readers:
            reader.join(DEADLINE)
        return code

    def __enter__(self) -> Self:
        self.wait("registered")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.popen.kill()
        self.exit_code()
        for stream in (self.popen.stdout, self.popen.stderr):
            assert stream is not None
            stream.close()
        if error is not None:
            error.add_note("log of the worker:\n" + "".join(self.log[-40:]))


class Jobs:
    """The queue seen from a connection of the test's own."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection

    def one(self, query: str, *args: Any) -> Any:
        row = self.connection.execute(query.encode(), args or None).fetchone()
        assert row is not None
        return row[0] if len(row) == 1 else row

    def add(self, kind: str, args: dict[str, Any] | None = None, **options: Any) -> int:
        """Enqueues one job; options as in SQL."""
        named = "".join(f", {key} => %({key})s" for key in options)
        query = f"select id from pgqueue.enqueue(%(kind)s, %(args)s::jsonb{named})"
        row = self.connection.execute(
            query.encode(), {"kind": kind, "args": json.dumps(args or {}), **options}
        ).fetchone()
        assert row is not None
        return int(row[0])

    def many(self, kind: str, count: int, args: dict[str, Any] | None = None, queue: str = "default") -> list[int]:
        rows = self.connection.execute(
            "select id from pgqueue.enqueue_each(%s, array_fill(%s::jsonb, array[%s]), queue => %s)",
            (kind, json.dumps(args or {}), count, queue),
        ).fetchall()
        return [row[0] for row in rows]

    def get(self, id: int) -> dict[str, Any]:
        cursor = self.connection.execute("select * from pgqueue.job(%s)", (id,))
        row = cursor.fetchone()
        assert row is not None
        assert cursor.description is not None
        return dict(zip([column.name for column in cursor.description], row, strict=True))

    def state(self, id: int) -> tuple[str, str | None]:
        """State and reason."""
        job = self.get(id)
        return job["state"], job["reason"]

    def until(self, id: int, *states: str, seconds: float = DEADLINE) -> dict[str, Any]:
        """The job, as soon as it is in one of these states."""
        until(lambda: self.get(id)["state"] in states, f"job {id} {states}, it is {self.get(id)['state']}", seconds)
        return self.get(id)

    def counts(self) -> dict[str, int]:
        """State → number, of final jobs."""
        return dict(self.connection.execute("select state, count(*) from pgqueue.outcome group by 1").fetchall())

    def configure(self, **settings: Any) -> None:
        self.connection.execute("select pgqueue.configure(%s)", (json.dumps(settings),))

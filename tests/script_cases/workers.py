"""Workers as users start them, processes, and those in threads of this process, which start in no time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import psycopg

from pgqueue import App
from tests.support.cluster import wait_for
from tests.worker.harness import Inside

__all__ = ["Crew", "Team", "Workers"]

ROOT = Path(__file__).resolve().parents[2]


class Workers(Protocol):
    """What a case does to its workers."""

    def start(self, count: int = 1) -> None:
        """Returns when they are registered."""

    def drain(self) -> None:
        """A graceful stop of all; returns when they have ended."""

    def kill(self) -> None:
        """None of them does anything any more."""


class Team:
    """Workers in threads, all else as `Crew` has it. They cannot be killed."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._running: list[Inside] = []
        self._made = 0

    def start(self, count: int = 1) -> None:
        for _ in range(count):
            self._made += 1
            worker = Inside(
                App(),
                self._dsn,
                queues=["scripts"],
                name=f"team {self._made}",
                heartbeat_interval=0.3,
                poll_interval=1.0,
                patience=5.0,
                grace=30.0,
            )
            self._running.append(worker)
            worker.__enter__()

    def drain(self) -> None:
        for worker in self._running:
            worker.call(worker.worker.stop)
        while self._running:
            ended = self._running.pop().join()
            assert ended is not None and ended.exit_code == 0, ended

    def kill(self) -> None:
        raise NotImplementedError("a thread cannot be killed: this case is for a Crew")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._running:
            worker.stop(hard=True)


class Crew:
    """Workers of one database, by `pgqueue worker`; those left at the end of the block are killed."""

    def __init__(self, dsn: str, connection: psycopg.Connection[Any], *arguments: str) -> None:
        self._dsn = dsn
        self._connection = connection
        self._arguments: Sequence[str] = arguments
        self._running: list[subprocess.Popen[str]] = []
        self._ended: list[subprocess.Popen[str]] = []

    def start(self, count: int = 1) -> None:
        """Returns when they are registered."""
        command = [sys.executable, "-m", "pgqueue.cli", "worker", "--dsn", self._dsn, *self._arguments]
        before = self._registered()
        for _ in range(count):
            self._running.append(
                subprocess.Popen(
                    command,
                    cwd=ROOT,
                    env={**os.environ, "PYTHONUNBUFFERED": "1"},
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
        wait_for(lambda: self._registered() == before + count, "the workers to register", 30)

    def drain(self) -> None:
        """A graceful stop of all; returns when they have ended."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._running:
            worker.send_signal(number)
        for worker in self._running:
            code = worker.wait(30)
            assert number == signal.SIGKILL or code == 0, worker.stderr and worker.stderr.read()
        self._ended += self._running
        self._running = []

    def _registered(self) -> int:
        row = self._connection.execute("select count(*) from pgqueue.workers()").fetchone()
        assert row is not None
        return int(row[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        for worker in self._ended:
            assert worker.stderr is not None
            log = worker.stderr.read()
            worker.stderr.close()
            if error is not None:
                error.add_note("log of a worker:\n" + log[-4000:])

"""Load: processes with one connection each that run prepared statements as fast as they are answered.

A driver speaks libpq directly and never looks into what passes through it: arrays of ids travel as the text the server
made of them. So the client costs little, costs the same for the limit and for pgqueue, and what it costs is reported.
Drivers live as long as the bench, as a worker's sessions do; before each run they take one turn in a transaction that
is rolled back, so that no round pays for plans.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psycopg
from psycopg.pq import ExecStatus

from pgqueue.errors import PgQueueError

Params = tuple[str | None, ...]
Row = list[bytes | None]

MOST = 64
"""Drivers at a time."""
_PATIENCE = 20.0
_LOCAL = ("", "localhost", "127.0.0.1", "::1")


class LoadFailed(PgQueueError):
    """A driver could not go on; the message is the server's."""


@dataclass(frozen=True)
class Script:
    """Statements to be run in turn, over and over.

    Each answers one row: how many jobs it took, how many it has done with (these are counted; a statement that only
    hands over answers 0), and then the parameters of the next statement. The first gets `start`; of a `chained` script
    what the last statement of the turn before answered, and then `last` is run once when the time is up. A turn whose
    first statement took nothing ends there, unless chained.
    """

    statements: tuple[str, ...]
    start: Params = ()
    chained: bool = False
    last: str | None = None


@dataclass(frozen=True)
class Load:
    """What a run came to. `jobs` is the sum of what the statements said they have done with.

    seconds: from the first driver's start to the end of the last turn that had something to do. client_cpu,
    server_cpu: seconds of processor the drivers and their backends used; the latter is None where the server's
    processes cannot be seen.
    """

    turns: int
    jobs: int
    seconds: float
    client_cpu: float
    server_cpu: float | None
    connections: int

    @property
    def rate(self) -> float:
        """Jobs a second."""
        return self.jobs / max(self.seconds, 1e-9)

    @property
    def client_share(self) -> float | None:
        """The drivers' part of all processor time of client and server."""
        return None if self.server_cpu is None else self.client_cpu / max(self.client_cpu + self.server_cpu, 1e-9)

    @property
    def server_us(self) -> float | None:
        """Microseconds of processor the server spent on each job: what wobbles least on a machine that others use."""
        return None if self.server_cpu is None else 1e6 * self.server_cpu / max(self.jobs, 1)

    def __add__(self, other: Load) -> Load:
        both = None if self.server_cpu is None or other.server_cpu is None else self.server_cpu + other.server_cpu
        return Load(
            self.turns + other.turns,
            self.jobs + other.jobs,
            self.seconds + other.seconds,
            self.client_cpu + other.client_cpu,
            both,
            max(self.connections, other.connections),
        )


@dataclass(frozen=True)
class _Order:
    """When a driver stops: after so many turns, at a moment, or when all drivers together have done with so many
    jobs.
    """

    calls: int | None = None
    seconds: float | None = None
    jobs: int | None = None


@dataclass(frozen=True)
class _Tally:
    turns: int
    jobs: int
    began: float
    ended: float
    client_cpu: float
    server_cpu: float | None


class Crew:
    """Driver processes on one database; a context manager. They start when they are first needed."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._context = multiprocessing.get_context("spawn")
        self._done = self._context.RawArray(ctypes.c_int64, MOST)
        self._drivers: list[tuple[Any, Any]] = []

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for process, pipe in self._drivers:
            pipe.close()
            process.terminate()
        for process, _pipe in self._drivers:
            process.join(10)
        self._drivers.clear()

    def drive(
        self,
        script: Script,
        connections: int = 4,
        *,
        calls: int | None = None,
        seconds: float | None = None,
        jobs: int | None = None,
        starts: Sequence[Params] | None = None,
    ) -> Load:
        """Run the script on so many connections at once: `calls` turns in all, or for so many seconds, or until `jobs`
        are done with. `starts` gives each driver a `start` of its own.

        Raises LoadFailed with the first error of the server. When nothing moves for 20 seconds the run ends with
        fewer jobs than were asked for; counting is the caller's.
        """
        if (calls is None) + (seconds is None) + (jobs is None) != 2:
            raise ValueError("give one of calls, seconds, jobs")
        self._grow(connections)
        team = self._drivers[:connections]
        for me in range(MOST):
            self._done[me] = 0
        for me, (_, pipe) in enumerate(team):
            pipe.send(("prepare", script, script.start if starts is None else starts[me]))
        _answers(team)
        for me, (_, pipe) in enumerate(team):
            share = None if calls is None else calls // connections + (me < calls % connections)
            pipe.send(("go", _Order(share, seconds, jobs), None))
        tallies: list[_Tally] = _answers(team)
        cpu = [tally.server_cpu for tally in tallies if tally.server_cpu is not None]
        return Load(
            sum(tally.turns for tally in tallies),
            sum(tally.jobs for tally in tallies),
            max(tally.ended for tally in tallies) - min(tally.began for tally in tallies),
            sum(tally.client_cpu for tally in tallies),
            sum(cpu) if len(cpu) == len(tallies) else None,
            connections,
        )

    def forget(self) -> None:
        """The sessions forget what they remember of the tables (cursors), which have been emptied."""
        for _, pipe in self._drivers:
            pipe.send(("forget", None, None))
        _answers(self._drivers)

    def _grow(self, connections: int) -> None:
        if not 1 <= connections <= MOST:
            raise ValueError(f"connections must be 1 to {MOST}")
        fresh = []
        while len(self._drivers) < connections:
            ours, theirs = self._context.Pipe()
            process = self._context.Process(
                target=_drive, args=(self._dsn, theirs, self._done, len(self._drivers)), daemon=True
            )
            process.start()
            theirs.close()
            self._drivers.append((process, ours))
            fresh.append((process, ours))
        _answers(fresh)


def _answers(team: Sequence[tuple[Any, Any]]) -> list[Any]:
    """One answer of each; all are heard before the first failure is raised, so that none is left over for later."""
    found: list[Any] = []
    failure: str | None = None
    for process, pipe in team:
        try:
            what, answer = pipe.recv()
        except EOFError:
            what, answer = "failed", f"a driver process ended (exit code {process.exitcode})"
        if what == "failed":
            failure = failure or str(answer)
        found.append(answer)
    if failure is not None:
        raise LoadFailed(f"a driver of the load failed: {failure}")
    return found


# In the driver's process.


def _drive(dsn: str, pipe: Any, done: Any, me: int) -> None:
    # A Ctrl-C in the terminal is for the bench, which then ends its drivers; so does its own end, by closing the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            driver = _Driver(dsn, done, me)
        except psycopg.Error as error:
            pipe.send(("failed", str(error)))
            return
        pipe.send(("well", None))
        while True:
            word, what, start = pipe.recv()
            try:
                answer = None
                if word == "prepare":
                    driver.prepare(what, start)
                elif word == "go":
                    answer = driver.run(what)
                else:
                    driver.connection.execute("reset all")
                pipe.send(("well", answer))
            except (psycopg.Error, _Refused) as error:
                driver.clean()
                pipe.send(("failed", str(error).strip()))


class _Refused(Exception):
    """The server refused a statement."""


class _Driver:
    def __init__(self, dsn: str, done: Any, me: int) -> None:
        self.connection = psycopg.connect(
            dsn, autocommit=True, prepare_threshold=None, application_name="pgqueue bench driver"
        )
        self._pq = self.connection.pgconn
        self._done, self._me = done, me
        self._backend = _visible_backend(self.connection)
        self._statements: dict[str, tuple[bytes, int]] = {}
        self._names: list[tuple[bytes, int]] = []
        self._last: tuple[bytes, int] | None = None
        self._script = Script(())
        self._start: Row = []

    def prepare(self, script: Script, start: Params) -> None:
        """Make the statements known to the server and to its plan caches."""
        self._script = script
        self._start = [None, None, *(None if p is None else p.encode() for p in start)]
        self._names = [self._statement(sql) for sql in script.statements]
        self._last = self._statement(script.last) if script.last else None
        self.connection.execute("begin")
        try:
            row = self._turn(self._start)[2]
            if script.chained:
                row = self._turn(row)[2]
            if self._last and row[2:]:
                self._call(self._last, row)
        finally:
            self.clean()

    def clean(self) -> None:
        """Leave the transaction that something went wrong in, or that was none."""
        with suppress(psycopg.Error):
            self.connection.rollback()

    def run(self, order: _Order) -> _Tally:
        """Turns until the order is fulfilled."""
        clock, turn, done, me = time.monotonic, self._turn, self._done, self._me
        chained = self._script.chained
        turns = jobs = held = 0
        row = self._start
        cpu, server = time.process_time(), _cpu_of(self._backend)
        began = ended = moved_at = clock()
        stop_at = began + order.seconds if order.seconds is not None else None
        seen = 0
        while order.calls is None or turns < order.calls:
            taken, finished, answer = turn(row)
            turns += 1
            if taken or held:
                ended = moved_at = clock()
                jobs += finished
                done[me] = jobs
            elif order.jobs is not None:
                total = sum(done)
                if total >= order.jobs:
                    break
                moved_at, seen = (clock(), total) if total != seen else (moved_at, seen)
                if clock() - moved_at > _PATIENCE:
                    break
                time.sleep(0.002)
            if chained:
                row, held = answer, taken
            if stop_at is not None and clock() >= stop_at:
                break
        if chained and held and self._last:
            jobs += _number(self._call(self._last, row)[1])
            ended = clock()
        after = _cpu_of(self._backend)
        spent = None if server is None or after is None else after - server
        return _Tally(turns, jobs, began, ended, time.process_time() - cpu, spent)

    def _turn(self, row: Row) -> tuple[int, int, Row]:
        taken = finished = 0
        for name in self._names:
            row = self._call(name, row)
            taken += _number(row[0])
            finished += _number(row[1])
            if not taken and not self._script.chained:
                break
        return taken, finished, row

    def _call(self, statement: tuple[bytes, int], row: Row) -> Row:
        name, expects = statement
        # None is NULL here, which psycopg's types do not know.
        result = self._pq.exec_prepared(name, cast("list[bytes]", row[2 : 2 + expects]))
        if result.status != ExecStatus.TUPLES_OK:
            raise _Refused(result.error_message.decode(errors="replace"))
        return [result.get_value(0, column) for column in range(result.nfields)]

    def _statement(self, sql: str) -> tuple[bytes, int]:
        known = self._statements.get(sql)
        if known is None:
            name = f"bench_{len(self._statements)}".encode()
            for result in (self._pq.prepare(name, sql.encode()), self._pq.describe_prepared(name)):
                if result.status != ExecStatus.COMMAND_OK:
                    raise _Refused(result.error_message.decode(errors="replace"))
            known = self._statements[sql] = (name, result.nparams)
        return known


def _number(value: bytes | None) -> int:
    return int(value) if value else 0


def _visible_backend(connection: psycopg.Connection[Any]) -> int | None:
    """The pid of our backend, if it is a process of this machine that we can look at."""
    host = connection.info.host
    pid = connection.info.backend_pid
    if host not in _LOCAL and not host.startswith("/"):
        return None
    try:
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return pid if name.startswith("postgres") and _cpu_of(pid) is not None else None


def _cpu_of(pid: int | None) -> float | None:
    """Seconds of processor a process has used, finer than `ps` knows."""
    if pid is None:
        return None
    try:
        with open(f"/proc/{pid}/schedstat", "rb") as file:
            return int(file.read().split()[0]) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

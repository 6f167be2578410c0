"""Callers of keyed queues in processes of their own: each runs rounds on many queues and keys until the time is up.

A round is what an orchestrator does for a query: add and claim in one step, then ack, then go on with what waits in
that queue. When the queue has no place, or somebody else is at the key, the caller has joined, and others see to it.
"""

from __future__ import annotations

import multiprocessing
import random
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any

import psycopg

__all__ = ["Plan", "Tally", "drive"]


@dataclass(frozen=True)
class Plan:
    """What callers do."""

    dsn: str
    schema: str
    queues: int
    keys: int
    budget: int
    seconds: float


@dataclass(frozen=True)
class Tally:
    """What came of it. `acked`: items executed; `joined`: requests for an item that was there; `problem`: the first
    error.
    """

    acked: int
    joined: int
    deadlocks: int
    problem: str | None


def drive(plan: Plan, callers: int, processes: int) -> list[Tally]:
    """So many callers, each with a connection of its own, in so many processes."""
    context = multiprocessing.get_context("spawn")
    pipes: list[Any] = []
    started: list[Any] = []
    for n in range(processes):
        ours, theirs = context.Pipe()
        count = callers // processes + (n < callers % processes)
        process = context.Process(target=_process, args=(plan, count, n, theirs), daemon=True)
        process.start()
        theirs.close()
        pipes.append(ours)
        started.append(process)
    for pipe in pipes:
        pipe.recv()
    for pipe in pipes:
        pipe.send("go")
    tallies = [tally for pipe in pipes for tally in pipe.recv()]
    for process in started:
        process.join(30)
    return tallies


def _process(plan: Plan, callers: int, seed: int, pipe: Connection) -> None:
    found: list[Tally] = []
    made = [_Caller(plan, random.Random(1000 * seed + n)) for n in range(callers)]
    pipe.send("ready")
    pipe.recv()
    threads = [Thread(target=lambda caller=caller: found.append(caller.run())) for caller in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pipe.send(found)


class _Caller:
    def __init__(self, plan: Plan, dice: random.Random) -> None:
        s = plan.schema
        self._plan = plan
        self._dice = dice
        self._add = (
            f"select id, created, pending, cardinality(active), payload is not null from {s}.keyed_add_and_claim("
            f"queue => %s, key => %s, payload => '{{}}', concurrency => {plan.budget})"
        ).encode()
        self._next = f"select id from {s}.keyed_claim_next(queue => %s, concurrency => {plan.budget})".encode()
        self._ack = f"select {s}.keyed_ack(id => %s, result => '{{}}')".encode()
        self._acked = self._joined = 0
        self._connection = psycopg.connect(plan.dsn, autocommit=True, application_name="pgqueue bench")
        self._warm_up()

    def _warm_up(self) -> None:
        """What a session pays for plans it pays before the round; nothing is left of it."""
        with self._connection.transaction(force_rollback=True):
            for n in range(8):
                self._turn(f"warm up {id(self)}", f"key {n}")
                self._connection.execute(self._next, (f"warm up {id(self)}",))
        self._acked = self._joined = 0

    def run(self) -> Tally:
        """Rounds until the time is up."""
        plan, dice = self._plan, self._dice
        deadlocks = 0
        problem: str | None = None
        until = time.monotonic() + plan.seconds
        while time.monotonic() < until and problem is None:
            try:
                self._turn(f"bench {dice.randrange(plan.queues)}", f"key {dice.randrange(plan.keys)}")
            except psycopg.errors.DeadlockDetected:
                deadlocks += 1
            except psycopg.Error as error:
                problem = str(error)
        return Tally(self._acked, self._joined, deadlocks, problem)

    def _turn(self, queue: str, key: str) -> None:
        row = self._connection.execute(self._add, (queue, key)).fetchone()
        assert row is not None
        item, created, pending, active, claimed = row
        self._joined += not created
        if not claimed:
            item = self._claim_next(queue) if active < self._plan.budget else None
        while item is not None:
            done = self._connection.execute(self._ack, (item,)).fetchone()
            self._acked += bool(done and done[0])
            item = self._claim_next(queue) if pending else None

    def _claim_next(self, queue: str) -> int | None:
        row = self._connection.execute(self._next, (queue,)).fetchone()
        return None if row is None else int(row[0])

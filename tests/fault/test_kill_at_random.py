"""Workers killed, connections cut, a server taken down, all at random: nothing lost, no two accepted outcomes."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from tests.worker.harness import Jobs, Process, until

if TYPE_CHECKING:
    from tests.support.cluster import Database, DurableServer

pytestmark = [pytest.mark.slow, pytest.mark.fault, pytest.mark.timeout(600)]

SETTINGS: dict[str, Any] = {"concurrency": 10, "heartbeat_interval": 0.3, "poll_interval": 0.2, "grace": 1}


def seed() -> int:
    """Of this run; PGQUEUE_FAULT_SEED repeats another one."""
    return int(os.environ.get("PGQUEUE_FAULT_SEED") or random.randrange(1_000_000))


def nearly_done(jobs: Jobs, ids: list[int]) -> bool:
    """Whether what is left is to be done in peace."""
    return sum(jobs.counts().values()) > 0.9 * len(ids)


def more(jobs: Jobs, ids: list[int], worker: Process, count: int) -> None:
    """Returns when the worker has handed in a few times more, or there is little left to hand in."""
    aim = len(worker.seen("settled")) + count
    until(lambda: len(worker.seen("settled")) >= aim or nearly_done(jobs, ids), "the worker to go on", 60)


def check(jobs: Jobs, ids: list[int], ledger: Path) -> Counter[int]:
    """Every job has exactly one outcome, a success, and has run. Returns how often each has."""
    assert jobs.counts() == {"succeeded": len(ids)}
    assert jobs.one("select count(distinct job_id) from pgqueue.outcome where job_id = any(%s)", ids) == len(ids)
    for table in ("ready", "lease", "suspect", "scheduled"):
        assert jobs.one(f"select count(*) from pgqueue.{table}") == 0, table
    # the outcome carries the result of the job itself, not of a neighbour
    assert jobs.one("select count(*) from pgqueue.outcome where result <> to_jsonb(job_id)") == 0
    ran = Counter(int(line) for line in ledger.read_text().split())
    assert set(ran) == set(ids)
    return ran


def test_processes_killed_at_random(pg: Database, jobs: Jobs, tmp_path: Path) -> None:
    chance = random.Random(number := seed())
    print(f"seed {number}")
    jobs.configure(lost_after="1 second", max_crashes=1000)
    ledger = tmp_path / "ledger"
    ids = [id for _ in range(20) for id in jobs.many("note", 1000, {"file": str(ledger), "wait": 0.003})]
    crew = [Process(pg.dsn, **SETTINGS) for _ in range(3)]
    killed: list[Process] = []
    try:
        while not nearly_done(jobs, ids):
            victim = chance.choice(crew)
            victim.wait("registered")
            more(jobs, ids, victim, chance.randint(1, 12))
            victim.signal(signal.SIGKILL)
            victim.exit_code()
            crew[crew.index(victim)] = Process(pg.dsn, **SETTINGS)
            killed.append(victim)
        until(lambda: sum(jobs.counts().values()) == len(ids), "every job to be final", 300)
        until(lambda: not jobs.one("select count(*) from pgqueue.lease"), "the last lease to end", 60)
    finally:
        for worker in (*crew, *killed):
            worker.__exit__(None, None, None)
    ran = check(jobs, ids, ledger)
    recovered = jobs.one("select count(*) from pgqueue.attempt_error where reason = 'worker_lost'")
    assert sum(ran.values()) - len(ids) <= recovered
    print(f"{len(killed)} killed, {recovered} rescued, {sum(ran.values()) - len(ids)} ran again")


def test_connections_cut_at_random(pg: Database, jobs: Jobs, tmp_path: Path) -> None:
    chance = random.Random(number := seed())
    print(f"seed {number}")
    ledger = tmp_path / "ledger"
    ids = [id for _ in range(20) for id in jobs.many("note", 1000, {"file": str(ledger), "wait": 0.003})]
    crew = [Process(pg.dsn, **SETTINGS) for _ in range(2)]
    try:
        for worker in crew:
            worker.wait("registered")
        while not nearly_done(jobs, ids):
            more(jobs, ids, chance.choice(crew), chance.randint(1, 10))
            backends = jobs.connection.execute(
                "select pid from pg_stat_activity where datname = %s and application_name like 'pgqueue%%'", (pg.name,)
            ).fetchall()
            for (pid,) in chance.sample(backends, k=chance.randint(min(1, len(backends)), len(backends))):
                jobs.connection.execute("select pg_terminate_backend(%s)", (pid,))
        until(lambda: sum(jobs.counts().values()) == len(ids), "every job to be final", 300)
        until(lambda: not jobs.one("select count(*) from pgqueue.lease"), "the last lease to end", 60)
    finally:
        for worker in crew:
            worker.__exit__(None, None, None)
    check(jobs, ids, ledger)


def test_server_killed_at_random(durable_server: Callable[[], DurableServer], tmp_path: Path) -> None:
    chance = random.Random(number := seed())
    print(f"seed {number}")
    server = durable_server()
    dsn = server.dsn(server.create_database())
    ledger = tmp_path / "ledger"
    with psycopg.connect(dsn, autocommit=True) as connection:
        Jobs(connection).configure(lost_after="5 seconds", max_crashes=1000)
        ids = [
            id for _ in range(20) for id in Jobs(connection).many("note", 1000, {"file": str(ledger), "wait": 0.003})
        ]
    crew = [Process(dsn, **SETTINGS) for _ in range(2)]
    try:
        for worker in crew:
            worker.wait("registered")
        for _ in range(4):
            with psycopg.connect(dsn, autocommit=True) as connection:
                more(Jobs(connection), ids, chance.choice(crew), chance.randint(1, 15))
            if chance.random() < 0.5:
                server.kill()
                server.start()
            else:
                server.restart()
        with psycopg.connect(dsn, autocommit=True) as connection:
            jobs = Jobs(connection)
            until(lambda: sum(jobs.counts().values()) == len(ids), "every job to be final", 300)
            until(lambda: not jobs.one("select count(*) from pgqueue.lease"), "the last lease to end", 60)
            check(jobs, ids, ledger)
    finally:
        for worker in crew:
            worker.__exit__(None, None, None)

"""Flows of jobs whose workers are killed at random: each is complete, in its order, within its limits, and nothing
follows twice.

In the default run: seed 7, three kills. PGQUEUE_FLOW_KILLS says how many there are in the slow form, with as many more
jobs, from PGQUEUE_FAULT_SEED or a seed of its own, which is printed.
"""

from __future__ import annotations

import json
import os
import random
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.fault.test_kill_at_random import seed
from tests.worker.harness import Jobs, Process, until

if TYPE_CHECKING:
    from tests.support.cluster import Database

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

QUEUES = ["flow", "strict", "rated"]
SETTINGS: dict[str, Any] = {
    "concurrency": 6,
    "heartbeat_interval": 0.3,
    "poll_interval": 0.1,
    "grace": 1,
    "queues": QUEUES,
}
LIMIT, PERIOD = 4, 0.5

TABLES = """
  create table public.trace (id bigint generated always as identity, job bigint, mark text, nth integer,
    began_at timestamptz default clock_timestamp(), ended_at timestamptz);
  create table public.started (queue text, at timestamptz, jobs integer);
  create function public.note_start() returns trigger language plpgsql as $$
  begin
    insert into public.started values (new.queue, new.claimed_at, cardinality(new.job_ids));
    return null;
  end $$;
  create trigger note_start after insert on pgqueue.lease for each row execute function public.note_start()"""


class Flow:
    """The jobs of a test: chains, members with a completion job, strict groups, a queue with a rate, unique keys."""

    def __init__(self, dsn: str, jobs: Jobs, chance: random.Random) -> None:
        self.dsn, self.jobs, self.chance = dsn, jobs, chance
        jobs.connection.execute(TABLES.encode())
        for queue, settings in {
            "strict": {"group_limit": 1, "group_order": "strict"},
            "rated": {"rate_limit": LIMIT, "rate_period": PERIOD},
        }.items():
            jobs.connection.execute("select pgqueue.configure_queue(%s, %s)", (queue, json.dumps(settings)))

    def step(self, mark: str, nth: int, queue: str = "flow", **options: Any) -> dict[str, Any]:
        args = {"dsn": self.dsn, "mark": mark, "nth": nth, "fails": self.chance.choice([0, 0, 0, 1])}
        return {"kind": "step", "queue": queue, "args": args, **options}

    def enqueue(self, *jobs: dict[str, Any]) -> None:
        self.jobs.connection.execute("select pgqueue.enqueue_many(%s)", (json.dumps(jobs),))

    def round(self, number: int) -> None:
        follow = self.step(f"after {number}", 0)
        self.enqueue(
            *(
                self.step(
                    f"chain {number}",
                    n,
                    ref=str(n),
                    depends_on=[str(n - 1)] if n else None,
                    on_success=follow if n == 4 else None,
                )
                for n in range(5)
            )
        )
        members = [self.step(f"fan {number}", 0, ref=str(n)) for n in range(6)]
        self.enqueue(*members, self.step(f"fan {number}", 1, depends_on=[str(n) for n in range(6)]))
        self.enqueue(*(self.step(f"key {k}", 10 * number + n, "strict", group_key=k) for n in range(4) for k in "xyz"))
        self.enqueue(*(self.step(f"rated {number}", n, "rated") for n in range(4)))
        self.enqueue(*(self.step(f"unique {k}", number, unique_key=k) for k in "ab"))

    def over(self) -> bool:
        return bool(self.jobs.one("select count(*) = (select count(*) from pgqueue.outcome) from pgqueue.job"))

    def check(self, rounds: int) -> None:
        rows = self.jobs.connection.execute
        unhappy = rows("select job_id, state, reason from pgqueue.outcome where state <> 'succeeded'").fetchall()
        assert unhappy == []
        for table in (
            "ready",
            "lease",
            "suspect",
            "scheduled",
            "dependent",
            "arrival",
            "blocked",
            "slot",
            "job_key",
            "parent_look",
            "crash",
        ):
            assert self.jobs.one(f"select count(*) from pgqueue.{table}") == 0, table
        # Whatever comes after another in its flow began when that had ended for the last time.
        early = rows(
            """select a.mark, a.nth, b.nth from public.trace a join public.trace b on b.mark = a.mark and b.nth > a.nth
               where (a.mark like 'chain%' or a.mark like 'fan%' or a.mark like 'key%') and a.began_at > b.began_at"""
        ).fetchall()
        assert early == []
        together = rows(
            """select a.mark from public.trace a join public.trace b on b.mark = a.mark and b.id > a.id
               where (a.mark like 'key%' or a.mark like 'unique%') and b.began_at < a.ended_at"""
        ).fetchall()
        assert together == []
        complete = dict(
            rows("select split_part(mark, ' ', 1), count(distinct (mark, nth)) from public.trace group by 1").fetchall()
        )
        unique = complete.pop("unique")
        assert complete == {
            "chain": 5 * rounds,
            "fan": 2 * rounds,
            "key": 12 * rounds,
            "rated": 4 * rounds,
            "after": rounds,
        }
        assert 2 <= unique <= 2 * rounds
        follow = rows(
            "select headers -> 'parent' ->> 'job', count(*) from pgqueue.job where headers ? 'parent' group by 1"
        ).fetchall()
        assert [count for _, count in follow] == [1] * rounds
        crowded = rows(
            """select a.at, (
                 select sum(b.jobs) from public.started b
                 where b.queue = 'rated' and b.at >= a.at and b.at < a.at + %s * interval '1 second')
               from public.started a where a.queue = 'rated'""",
            (PERIOD,),
        ).fetchall()
        assert max(count for _, count in crowded) <= LIMIT


def go_on(flow: Flow, worker: Process, count: int) -> None:
    """Returns when the worker has handed in a few times more, or there is nothing left."""
    aim = len(worker.seen("settled")) + count
    until(lambda: len(worker.seen("settled")) >= aim or flow.over(), "the worker to go on", 60)


@pytest.mark.parametrize(
    "kills",
    [
        3,
        pytest.param(
            int(os.environ.get("PGQUEUE_FLOW_KILLS") or 0),
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(not os.environ.get("PGQUEUE_FLOW_KILLS"), reason="PGQUEUE_FLOW_KILLS is not set"),
            ],
        ),
    ],
)
def test_flows_whose_workers_are_killed(pg: Database, jobs: Jobs, kills: int) -> None:
    chance = random.Random(number := 7 if kills == 3 else seed())
    print(f"seed {number}")
    jobs.configure(lost_after="1 second", max_crashes=1000)
    flow = Flow(pg.dsn, jobs, chance)
    crew = [Process(pg.dsn, "tests.worker.flowapp:app", **SETTINGS) for _ in range(2)]
    killed: list[Process] = []
    try:
        for nth in range(kills):
            flow.round(nth)
            victim = chance.choice(crew)
            victim.wait("registered")
            go_on(flow, victim, chance.randint(1, 6))
            victim.signal(signal.SIGKILL)
            victim.exit_code()
            crew[crew.index(victim)] = Process(pg.dsn, "tests.worker.flowapp:app", **SETTINGS)
            killed.append(victim)
        until(flow.over, "every job to be final", 120)
        until(lambda: not jobs.one("select count(*) from pgqueue.lease"), "the last lease to end", 60)
        until(lambda: not jobs.one("select count(*) from pgqueue.parent_look"), "upkeep to tell every parent's end", 60)
    finally:
        for worker in (*crew, *killed):
            worker.__exit__(None, None, None)
    flow.check(kills)
    lost = jobs.one("select count(*) from pgqueue.attempt_error where reason = 'worker_lost'")
    print(f"{len(killed)} killed, {lost} rescued, {jobs.one('select count(*) from public.trace')} runs")

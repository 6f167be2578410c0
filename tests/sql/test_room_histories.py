"""Random histories over all rooms: several sessions at work at once, then all is brought to an end, and the books must
balance.

Seven sessions of 90 steps each: users and operators, workers that are lost, upkeep; jobs, queries, scripts, batches
and slow queries in flows, with bulk operations, purges, histories that are switched off, and transactions that stay
open or are rolled back. Odd seeds have the steps of large batches and families cut small, so that what upkeep
otherwise does for thousands of rows begins at three.

Seed 1 is in the default run; PGQUEUE_SEEDS=all runs six. The slow form (-m slow), of four times as many steps, runs
the seeds that PGQUEUE_ROOMS names: 100-160 is sixty-one of them, 7 is one.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable

import psycopg
import pytest

from tests.sql.batches import UNBALANCED
from tests.sql.calls import Caller
from tests.sql.room_world import DUTIES, QUEUES, ROOMS, TOO_LATE, Session, World, play, side_by_side
from tests.sql.test_histories import STANDING
from tests.support.seeds import seeds

Opened = Callable[[], Caller]

# In a function: what its text has exactly once, and what stands there instead.
SMALL = [
    ("_gate_ended", "c.batch_id = (batch).id) > 5000", "c.batch_id = (batch).id) > 2"),
    ("_let_go", "v_rows > 5000", "v_rows > 2"),
    ("_duty_leaving", "v_left bigint := 10000", "v_left bigint := 3"),
    ("_duty_leaving", "greatest(10000 / v_batch.slice_size", "greatest(3 / v_batch.slice_size"),
    ("_duty_leaving", "when v_batch.dead then 10000", "when v_batch.dead then 3"),
    ("_parents_ended", "1000, 1000", "2, 2"),
    ("_finish_batch", "1000, 1000", "1, 1"),
    ("_duty_dependents", "order by p.seq limit 5000", "order by p.seq limit 7"),
    ("_duty_dependents", "v_highs, 5000, null", "v_highs, 7, null"),
]

# Where a job can stand that somebody or something will still bring on.
MOVING = ("ready", "scheduled", "arrival", "blocked", "suspect", "line", "lease", "batch_leaving", "late_follow_up")
# Tables with rows of jobs that wait for good; the books say of which.
WAITING = ("held", "dependent", "cancel_request", "changed_priority")

# What is wrong when a query has rows, once nothing moves any more and nobody has anything in hand.
BOOKS = {
    "a job stands in two places, or nowhere": STANDING,
    "counters of a batch apart from what is recorded, or from its status": UNBALANCED,
    "live, and waits neither for a parent nor with its batch": """
      select j.id, j.kind, j.queue from pgqueue.job j
      where j.id not in (select job_id from pgqueue.outcome) and j.id not in (select job_id from pgqueue.dependent)
        and j.id not in (select job_id from pgqueue.held)""",
    "waits for another number of parents than those that are not counted": """
      select d.job_id, d.pending from pgqueue.dependent d
      where d.pending <> (select count(*) from pgqueue.dependency e where e.child_id = d.job_id and not e.counted)""",
    # A parent may be waited for that waits itself, as a job or as a batch does by its gate, or that has not succeeded
    # where the child is to wait until it has.
    "waits for a parent that was never told of, or will never come": """
      select e.child_id, e.parent_id, e.policy, o.state, b.status
      from pgqueue.dependency e join pgqueue.dependent d on d.job_id = e.child_id
      left join pgqueue.outcome o on o.job_id = e.parent_id
      left join pgqueue.batch b on b.id = e.parent_id
      where not e.counted and e.parent_id not in (select job_id from pgqueue.dependent)
        and (b.gate is null or b.gate not in (select job_id from pgqueue.dependent))
        and (e.policy <> 'wait' or coalesce(o.state::text, b.status, '') not in ('failed', 'cancelled', 'aborted'))""",
    "an end that nobody told the children": "select * from pgqueue.parent_look where state is not null",
    "held slice of a batch that waits for nothing": """
      select h.job_id, h.batch_id, b.status, b.hold from pgqueue.held h left join pgqueue.batch b on b.id = h.batch_id
      where not coalesce(b.waits, false)""",
    "held batch that no gate will let go": """
      select b.id, b.waits, b.gate from pgqueue.batch b
      where b.status = 'held' and not b.hold
        and not exists (select from pgqueue.dependent d where d.job_id = b.gate)""",
    "batch called back twice": """
      select j.args ->> 'batch', count(*) from pgqueue.job j where j.kind = 'rows.done'
      group by 1 having count(*) > 1""",
    # The fallback of a script that has failed may be cancelled while it runs; the script stays failed.
    "script that says otherwise than its job": """
      select s.job_id, s.status, s.fallback_status, s.part, o.state
      from pgqueue.script s join pgqueue.outcome o on o.job_id = s.job_id
      where s.part < 4 or s.status <> o.state::text and s.fallback_status is distinct from 'cancelled'""",
    "script without an end whose job is gone": """
      select s.job_id, s.status, s.part from pgqueue.script s
      where s.part < 4 and s.job_id not in (select id from pgqueue.job)""",
    "query that says otherwise than its job": """
      select r.job_id, r.outcome, o.state from pgqueue.query_run r join pgqueue.outcome o on o.job_id = r.job_id
      where r.outcome is distinct from o.state""",
    "query without an end whose job is gone": """
      select r.job_id from pgqueue.query_run r
      where r.outcome is null and r.job_id not in (select id from pgqueue.job)""",
    # Kept as long as the job lives, and most that wait have never run.
    "changed priority of a job that has ended, or that does not know of it": """
      select p.job_id, d.traits from pgqueue.changed_priority p left join pgqueue.dependent d on d.job_id = p.job_id
      where d.job_id is null or d.traits & 64 = 0""",
    "cancel asked of a job that does not run": "select job_id from pgqueue.cancel_request",
}


def cut_small(q: Caller) -> None:
    for function, old, new in SMALL:
        ((text,),) = q.sql(
            "select pg_get_functiondef(oid) from pg_proc where pronamespace = 'pgqueue'::regnamespace and proname = %s",
            function,
        )
        found = text.count(old)
        assert found == 1, f"{old!r} is in {function} {found} times, not once: SMALL does not fit it any more"
        q.connection.execute(text.replace(old, new).encode())


def upkeep(q: Caller, duties: list[str] | None = None) -> None:
    # As a session that has just come: what others left behind its cursors it would find only some seconds later.
    q.sql("reset all")
    assert [row for row in q("maintain", duties=duties) if row["error"]] == []


def moving(q: Caller) -> dict[str, int]:
    count = ", ".join(f"(select count(*) from pgqueue.{table})" for table in MOVING)
    (counts,) = q.sql(f"select {count}, (select count(*) from pgqueue.parent_look where state is not null)")
    return {table: n for table, n in zip([*MOVING, "parent_look"], counts, strict=True) if n}


def bring_to_an_end(q: Caller, seed: int) -> None:
    """Every worker is gone and nothing is held by users; all that can be done succeeds."""
    pick = random.Random(seed)
    q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
    upkeep(q)
    for (batch,) in q.sql("select id from pgqueue.batch where status = 'held' and hold"):
        q("batch_release", id=batch)
    worker, still = q.worker(*QUEUES), 0
    for _ in range(1500):
        q.sql("update pgqueue.scheduled set run_at = now() where run_at > now()")
        upkeep(q, DUTIES)
        jobs = q.claim(worker, 100, QUEUES)
        for job in jobs:
            try:
                play(q, job, pick, good=True)
            except psycopg.Error as error:
                # One ends others: a batch that is over, those it claimed with it.
                if error.sqlstate not in TOO_LATE:
                    raise
        still = 0 if jobs or moving(q) else still + 1
        if still == 3:
            break
    assert still == 3, f"what moves never comes to an end: {moving(q)}"
    q.sql("update pgqueue.cancel_request set requested_at = '2020-01-01'")
    for _ in range(2):
        upkeep(q, ["dependents", "tidy"])


def wrong(q: Caller, books: Iterable[str] = BOOKS) -> dict[str, object]:
    return {what: rows[:5] for what in books if (rows := q.sql(BOOKS[what]))}


def live_through(q: Caller, session: Opened, seed: int, steps: int) -> None:
    for queue in QUEUES:
        q("configure_queue", queue=queue, settings={})
    if seed % 2:
        cut_small(q)
    world = World(workers=[q.worker(*QUEUES) for _ in range(3)])
    parts = ["work", "upkeep", *["all"] * 5]
    side_by_side([Session(session(), world, 100 * seed + n, part) for n, part in enumerate(parts)], world, steps)
    print(f"seed {seed}: {dict(sorted(world.done.items()))}, { ({room: len(world.made[room]) for room in ROOMS}) }")
    assert world.surprises == [], "errors that no race explains"
    assert wrong(q, ["a job stands in two places, or nowhere"]) == {}, "with jobs in hand and workers alive"
    bring_to_an_end(q, seed)
    assert wrong(q) == {}
    left = {table: count for table, count in q.places().items() if table not in WAITING}
    assert left == {}, "what hangs on live jobs, when those that are left only wait"
    assert all(len(world.made[room]) > steps // 10 for room in ROOMS) and world.done["change"] > steps // 2


@pytest.mark.parametrize("seed", seeds(range(1, 7)))
def test_books_of_all_rooms_balance(q: Caller, session: Opened, seed: int) -> None:
    live_through(q, session, seed, steps=90)


def asked_for() -> list[int]:
    first, _, last = os.environ.get("PGQUEUE_ROOMS", "").partition("-")
    return list(range(int(first), int(last or first) + 1)) if first else []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", asked_for())
def test_books_of_all_rooms_balance_for_long(q: Caller, session: Opened, seed: int) -> None:
    """Four times as many steps for each of the seeds in PGQUEUE_ROOMS; without it, none."""
    live_through(q, session, seed, steps=360)

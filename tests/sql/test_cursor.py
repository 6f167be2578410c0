"""Claims stay flat while another session holds a snapshot, and still find what was committed behind their cursor."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.sql.calls import Caller

Session = Callable[[], Caller]


def pages(q: Caller, statement: str) -> int:
    """Buffers one statement touched, whatever functions it called."""
    (plan,) = q.sql(f"explain (analyze, buffers, timing off, format json) {statement}")[0]
    plan = plan if isinstance(plan, list) else json.loads(plan)
    return int(plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"])


SET_EXPIRY = """
  select set_config(
    'pgqueue.cursor_' || n, array_to_string((string_to_array(v, E'\\x1f'))[1:4] || %s::text, E'\\x1f'), false)
  from generate_series(0, 255) n, nullif(current_setting('pgqueue.cursor_' || n, true), '') v"""


def expire(q: Caller) -> None:
    """Makes every cursor of this session due for a sweep."""
    q.sql(SET_EXPIRY, "0")


def keep(q: Caller) -> None:
    """Puts the expiry of every cursor of this session far away."""
    q.sql(SET_EXPIRY, "99999999999")


def test_a_pinned_snapshot_does_not_slow_claims(q: Caller, session: Session) -> None:
    worker, pin = q.worker(), session()
    claim = f"select count(*) from pgqueue.claim({worker}, array['default'], 100)"
    pin.sql("begin isolation level repeatable read")
    pin.sql("select 1")
    costs = []
    for _ in range(12):
        q.sql("select pgqueue.enqueue_each('noop', array_fill('{}'::jsonb, array[1000]))")
        for _ in range(10):
            keep(q)
            costs.append(pages(q, claim))
    assert q.sql("select count(*) from pgqueue.ready") == [(0,)]
    early, late = sorted(costs[5:25])[10], sorted(costs[-20:])[10]
    assert late < 1.3 * early, (early, late)
    keep(q)
    empty = pages(q, claim)
    expire(q)
    assert empty < pages(q, claim) / 3  # the sweep walks the dead; the cursor does not


def test_late_commits_behind_the_cursor_are_found_by_the_sweep(q: Caller, session: Session) -> None:
    user, worker = session(), q.worker()
    with user.connection.transaction():
        late = user.enqueue()
        for _ in range(3):
            q("enqueue_each", kind="noop", args=[{}] * 200)
            assert len(q.claim(worker, 200)) == 200
    keep(q)
    assert q.claim(worker, 5) == []
    expire(q)
    assert [job["id"] for job in q.claim(worker, 5)] == [late]


def test_who_is_urgent_sweeps_only_for_want_of_anything_else(q: Caller, session: Session) -> None:
    user, worker = session(), q.worker()
    with user.connection.transaction():
        late = user.enqueue()
        for _ in range(3):
            q("enqueue_each", kind="noop", args=[{}] * 200)
            q.claim(worker, 200)
    expire(q)
    fresh = q.enqueue()
    assert [job["id"] for job in q.claim(worker, 5, urgent=True)] == [fresh]
    assert [job["id"] for job in q.claim(worker, 5, urgent=True)] == [late]


def test_a_full_backlog_does_not_put_sweeps_off_for_ever(q: Caller, session: Session) -> None:
    user, worker = session(), q.worker()
    with user.connection.transaction():
        late = user.enqueue()
        q("enqueue_each", kind="noop", args=[{}] * 1000)
        q.claim(worker, 300)
    expire(q)
    assert late in [job["id"] for job in q.claim(worker, 10)]


def test_neighbours_that_commit_out_of_order_need_no_sweep(q: Caller, session: Session) -> None:
    user, worker = session(), q.worker()
    with user.connection.transaction():
        late = user.enqueue()
        q.enqueue()
        q.claim(worker)
        keep(q)
    assert [job["id"] for job in q.claim(worker)] == [late]


def test_more_lanes_than_cursors(q: Caller) -> None:
    names = [f"queue {n}" for n in range(400)]
    for name in names:
        q.enqueue(queue=name)
    worker = q.worker(*names)
    taken = q.claim(worker, 1000, queues=names)
    assert sorted(job["queue"] for job in taken) == sorted(names)
    assert len({job["lease"] for job in taken}) == 400
    q.settle(taken)
    assert q.places() == {}

"""Throughput: what has ended is counted by the minute, each once, in bounded passes."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import quantiles

import pytest

from tests.sql.calls import Caller, Row
from tests.support.seeds import seeds

START = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def q(q: Caller) -> Caller:
    q.clock(START.isoformat())
    q.sql("update pgqueue.metric_mark set counted_until = %s", START)
    return q


def at(q: Caller, seconds: float) -> None:
    q.clock((START + timedelta(seconds=seconds)).isoformat())


def count(q: Caller) -> int:
    (row,) = q("maintain", duties=["metrics"])
    assert row["error"] is None
    return int(row["done"])


def mark(q: Caller) -> float:
    (found,) = q.sql("select counted_until from pgqueue.metric_mark")[0]
    return float((found - START).total_seconds())


def run(q: Caller, seconds: float, **options: object) -> Row:
    """Enqueues a job, claims it a second later, and returns it after `seconds` of running."""
    now = datetime.fromisoformat(q.sql("select pgqueue._now()::text")[0][0])
    queue = str(options.get("queue", "default"))
    q.enqueue(**options)
    q.clock((now + timedelta(seconds=1)).isoformat())
    (job,) = q.claim(q.worker(queue), queues=[queue])
    q.clock((now + timedelta(seconds=1 + seconds)).isoformat())
    return job


def test_outcomes_are_counted_by_minute_queue_and_kind(q: Caller) -> None:
    q.settle([run(q, 2, kind="a")])
    q.settle([run(q, 1, kind="b")], "discard")
    q("cancel", id=q.enqueue(queue="other"))
    at(q, 70)
    q.settle([run(q, 4, kind="a")])
    at(q, 100)
    assert count(q) == 4
    assert count(q) == 0
    rows = q("throughput", by_kind=True)
    assert [
        (row["at"].minute, row["queue"], row["kind"], row["succeeded"], row["failed"], row["cancelled"]) for row in rows
    ] == [
        (0, "default", "a", 1, 0, 0),
        (0, "default", "b", 0, 1, 0),
        (0, "other", "noop", 0, 0, 1),
        (1, "default", "a", 1, 0, 0),
    ]
    assert (rows[0]["wait_max"], rows[0]["run_max"]) == (timedelta(seconds=1), timedelta(seconds=2))
    assert rows[2]["wait_p50"] is rows[2]["run_max"] is None
    (first, other, last) = q("throughput")
    assert (first["kind"], first["succeeded"], first["failed"], first["run_max"]) == (None, 1, 1, timedelta(seconds=2))
    assert [row["at"].minute for row in q("throughput", queue="default", kind="a", since=START)] == [0, 1]
    (both,) = q("throughput", queue="default", step="1 hour", since=START - timedelta(hours=1))
    assert (both["at"], both["succeeded"], both["kind"]) == (START, 2, None)
    assert q("throughput", until=START) == q("throughput", queue="none") == []
    assert (other["queue"], last["at"].minute) == ("other", 1)


def test_each_outcome_is_counted_once_whenever_upkeep_comes(q: Caller) -> None:
    random.seed(7)
    counted = ended = 0
    seconds = 0.0
    worker = q.worker()
    for _ in range(120):
        seconds += random.choice([0.1, 1, 5, 12, 40])
        at(q, seconds)
        for _ in range(random.randrange(3)):
            q.enqueue()
        ended += len(jobs := q.claim(worker))
        q.settle(jobs)
        if random.random() < 0.4:
            counted += count(q)
            assert mark(q) <= seconds - 5
    at(q, seconds + 20)
    counted += count(q)
    assert counted == ended
    assert q.sql("select sum(succeeded)::int from pgqueue.metric") == [(ended,)]


@pytest.mark.slow
def test_a_pass_is_bounded_and_the_next_goes_on(q: Caller) -> None:
    """Ten days of nothing, then three hundred thousand outcomes within a minute."""
    day = 864_000
    q.sql(
        """with made as (
             insert into pgqueue.job (id, created_at, priority, queue, kind, args)
             select g, %s::timestamptz, 0, 'default', 'k', '{}' from generate_series(1, 300000) g returning id)
           insert into pgqueue.outcome (job_id, finished_at, claimed_at, worker_id, state, attempt)
           select id, %s::timestamptz + id * interval '0.2 ms', %s, 1, 'succeeded', 1 from made""",
        START + timedelta(seconds=day - 1),
        START + timedelta(seconds=day),
        START + timedelta(seconds=day),
    )
    at(q, day + 100)
    done = [0]
    while mark(q) < day + 90:
        done.append(count(q))
    assert sum(done) == 300_000
    assert len(done) >= 3 and max(done) <= 200_000
    assert q.sql("select sum(succeeded)::int, sum(wait_buckets[11])::int from pgqueue.metric") == [(300_000, 300_000)]


def test_a_pass_that_fails_has_counted_nothing(q: Caller) -> None:
    q.settle([run(q, 1)])
    at(q, 60)
    with q.connection.transaction(force_rollback=True):
        assert count(q) == 1
    assert count(q) == 1
    q.settle([run(q, 1)])
    at(q, 120)
    q.sql("alter table pgqueue.metric add constraint never check (succeeded < 1) not valid")
    before = mark(q)
    (row,) = q("maintain", duties=["metrics"])
    assert "never" in row["error"]
    assert mark(q) == before
    q.sql("alter table pgqueue.metric drop constraint never")
    assert count(q) == 1


def test_an_open_transaction_stops_no_count_and_what_it_ends_is_in_none(
    q: Caller, session: Callable[[], Caller]
) -> None:
    late, job = q.enqueue(queue="other"), run(q, 1)
    user = session()
    user.clock((START + timedelta(seconds=2)).isoformat())
    q.sql("set lock_timeout = '100ms'")
    with user.connection.transaction():
        user("cancel", id=late)
        q.settle([job])
        at(q, 60)
        assert count(q) == 1
    at(q, 120)
    assert count(q) == 0
    assert [row["queue"] for row in q("throughput")] == ["default"]


def test_a_clock_that_is_set_back(q: Caller) -> None:
    at(q, 600)
    assert count(q) == 0
    assert mark(q) == 595
    at(q, 300)  # until it has caught up nothing is counted
    q.settle([run(q, 1)])
    at(q, 330)
    assert count(q) == 0
    assert mark(q) == 595
    at(q, 620)
    q.settle([run(q, 1)])
    at(q, 640)
    assert count(q) == 1
    at(q, -86_400)  # a year may be in between: it begins anew
    assert count(q) == 0
    assert mark(q) == -86_405


def test_retries_wait_for_no_figure_and_forgotten_jobs_are_not_counted(q: Caller) -> None:
    job = run(q, 1)
    q.settle([job], "retry", delay=0)
    (job,) = q.claim(q.worker())
    q.settle([job])
    q("configure_queue", queue="brief", settings={"history": "none"})
    q.settle([run(q, 1, queue="brief")])
    at(q, 60)
    assert count(q) == 1
    (row,) = q("throughput")
    assert (row["succeeded"], row["wait_max"], row["run_max"]) == (1, None, timedelta(0))


def test_what_is_old_is_forgotten(q: Caller) -> None:
    q("configure", settings={"metric_retention": "1 hour"})
    q.settle([run(q, 1)])
    at(q, 60)
    assert count(q) == 1
    at(q, 3700)
    count(q)
    assert q.sql("select count(*) from pgqueue.metric") == [(0,)]


@pytest.mark.parametrize("seed", seeds(range(5), default=2))
def test_percentiles_are_right_to_a_factor_of_two(q: Caller, seed: int) -> None:
    random.seed(seed)
    spans = sorted(random.lognormvariate(3, 2) for _ in range(500))  # milliseconds
    q.sql(
        """insert into pgqueue.metric
           select %s, 'default', 'k', 500, 0, 0, '{}', pgqueue._spread(array_agg(b), array_agg(1)), null, max(s)
           from (select s, pgqueue._duration_bucket(s) as b from unnest(%s::interval[]) s) s""",
        START,
        [f"{span} milliseconds" for span in spans],
    )
    at(q, 60)
    (row,) = q("throughput")
    cuts = quantiles(spans, n=20)
    for found, true in ((row["run_p50"], cuts[9]), (row["run_p95"], cuts[18])):
        assert true / 2 <= found / timedelta(milliseconds=1) <= true * 2
    assert row["wait_p50"] is None


def test_buckets(q: Caller) -> None:
    for milliseconds, bucket in (
        (-5, 0),
        (0, 0),
        (0.999, 0),
        (1, 1),
        (1.999, 1),
        (2, 2),
        (4, 3),
        (1000, 10),
        (1e15, 41),
    ):
        assert q.sql("select pgqueue._duration_bucket(%s * interval '1 ms')", milliseconds) == [(bucket,)]
    assert q.sql("select pgqueue._spread('{0,3,null,3}', '{1,2,9,5}')") == [([1, 0, 0, 7],)]
    assert q.sql("select pgqueue._spread('{null}', '{1}')") == [([],)]
    assert q.sql("select pgqueue._sum_buckets('{1,2}', '{1,2,3}')") == [([2, 4, 3],)]

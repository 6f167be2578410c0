"""Sessions side by side claim, settle, abort and die at random, and every counter is what a recount says."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.sql.batches import UNBALANCED, append, balanced, counts, said, slow, status, submit, work
from tests.sql.calls import Caller, Row
from tests.sql.test_histories import suppress_sqlstate
from tests.support.seeds import seeds

Session = Callable[[], Caller]
QUEUES = ["a/o", "b/o", "c/o"]


class Hand:
    """One session: a worker's thread and a user's at once."""

    def __init__(self, caller: Caller, seed: int) -> None:
        self.q, self.random = caller, random.Random(seed)
        self.worker = caller.worker(*QUEUES)
        self.held: list[Row] = []
        self.batches: list[int] = []
        self.told: Counter[tuple[int, int]] = Counter()

    def run(self, steps: int) -> None:
        actions = {
            self.claim: 4,
            self.settle: 6,
            self.submit: 2,
            self.change: 1,
            self.abort: 0.4,
            self.cancel: 0.4,
            self.die: 0.3,
        }
        for _ in range(steps):
            self.random.choices([*actions], weights=[*actions.values()])[0]()

    def submit(self) -> None:
        pick = self.random
        app = pick.choice("abc")
        with self.q.connection.transaction(force_rollback=pick.random() < 0.1) as made:
            options = {"priority": pick.choice([0, 0, 1])}
            if pick.random() < 0.2:
                batch = slow(self.q, 1, app, "o", **options)
            else:
                size = pick.choice([1, 3, 10])
                batch = submit(
                    self.q, pick.randrange(1, 40), app, "o", slice_size=size, hold=pick.random() < 0.3, **options
                )
        if not made.force_rollback:
            self.batches.append(batch)

    def claim(self) -> None:
        queues = self.random.sample(QUEUES, self.random.randrange(1, 4))
        self.held += self.q.claim(self.worker, self.random.randrange(1, 8), queues)

    def answer(self, job: Row) -> list[dict[str, Any]]:
        """A row now and then is forgotten, or told of twice."""
        pick = self.random
        answers = []
        for row in job["args"].get("rows", []):
            how = pick.choices(["succeeded", "failed", "aborted", "later", "?"], weights=[80, 6, 1, 8, 1])[0]
            answers += [said(row, how, result=row[2], output={"f": str(row[0])})] * pick.choices([1, 0, 2], [97, 1, 2])[
                0
            ]
        return answers

    def settle(self) -> None:
        """One call with jobs of many batches and every outcome."""
        self.random.shuffle(self.held)
        n = self.random.randrange(len(self.held) + 1)
        now, self.held = self.held[:n], self.held[n:]
        outcomes = self.random.choices(
            ["succeeded", "failed", "release", "discard", "snooze", "cancelled", "timeout"],
            weights=[60, 4, 4, 1, 4, 1, 2],
            k=n,
        )
        problems = {
            row[1]: row[2]
            for row in self.q.sql(
                """select * from pgqueue.settle(%s::bigint[], %s::bigint[], %s::text[], %s::jsonb[],
                     delays => array_fill('0'::interval, array[%s]))""",
                [job["lease"] for job in now],
                [job["id"] for job in now],
                outcomes,
                [Jsonb(self.answer(job)) for job in now],
                n,
            )
        }
        self.held += [job for job in now if problems.get(job["id"]) == "busy"]

    def change(self) -> None:
        with suppress_sqlstate("PQ005"):
            if self.batches:
                batch = self.random.choice(self.batches)
                with suppress_sqlstate("PQ002"):  # a slow query
                    if self.random.random() < 0.5:
                        append(self.q, batch, self.random.randrange(5), hold=self.random.random() < 0.5)
                    else:
                        self.q("batch_release", id=batch)

    def abort(self) -> None:
        rows = self.q("batch_list", max=20)
        if rows:
            row = self.random.choice(rows)
            found = self.q.one("slow_query_abort" if row["kind"] == "slow_query" else "batch_abort", id=row["id"])
            assert found["status"] == "aborted" or not found["changed"]

    def cancel(self) -> None:
        """A slice, running or waiting."""
        jobs = [job for job in self.q("jobs", max=30) if job["kind"] != "rows.done"]
        if jobs:
            self.q("cancel", id=self.random.choice(jobs)["id"])

    def die(self) -> None:
        self.q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01' where id = %s", self.worker)
        assert [row for row in self.q("maintain") if row["error"]] == []
        self.worker = self.q.worker(*QUEUES)
        if self.random.random() < 0.5:
            self.held = []  # else what it held is stale, and it tries


@pytest.mark.parametrize("seed", seeds([1, 2, 3]))
def test_counters_are_what_a_recount_says(q: Caller, session: Session, seed: int) -> None:
    q("configure", settings={"max_crashes": 100})
    for queue in QUEUES:
        q("configure_queue", queue=queue, settings={"backoff": {"base": 0}, "max_attempts": 3})
    hands = [Hand(session(), seed * 100 + n) for n in range(4)]
    failures: list[BaseException] = []

    def run(hand: Hand) -> None:
        try:
            hand.run(120)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=run, args=[hand]) for hand in hands]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert q.sql(UNBALANCED) == []  # at every moment
        threads[0].join(0.05)
    for thread in threads:
        thread.join()
    assert failures == []
    assert balanced(q)

    for hand in hands:
        for batch in hand.batches:
            with suppress_sqlstate("PQ005"), suppress_sqlstate("PQ002"):
                q("batch_release", id=batch)
    q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
    q("maintain")
    worker = q.worker(*QUEUES)
    for _ in range(200):
        work(q, worker, said, *QUEUES)
        q("maintain", duties=["promote", "rescue"])
        if not q.sql("select from pgqueue.scheduled union all select from pgqueue.ready limit 1"):
            break
    assert balanced(q)
    batches = [batch for hand in hands for batch in hand.batches]
    assert len(batches) > 20
    finals = Counter(row["status"] for row in q("batch_list", max=1000))
    assert set(finals) <= {"succeeded", "failed", "aborted"}, finals
    assert len(finals) == 3
    q.sql("update pgqueue.cancel_request set requested_at = '2020-01-01'")
    q("maintain", duties=["tidy"])
    assert q.places() == {}
    # What is recorded of a row is of that row, and the files hold a line for each that succeeded or failed with one.
    assert (
        q.sql("select from pgqueue.row_outcome where result <> jsonb_build_object('n', line) and result <> '1'") == []
    )
    for batch, listed in q.sql(
        """select batch_id, count(*) from pgqueue.row_outcome
           where output is not null group by 1 order by 1 desc limit 20"""
    ):
        assert q.sql("select lines from pgqueue.batch_file where batch_id = %s", batch) == [(listed,)]


def test_ten_batches_and_four_workers(q: Caller, session: Session) -> None:
    batches = [submit(q, 200) for _ in range(10)]
    done: list[int] = []
    together = threading.Barrier(4)

    def run(caller: Caller) -> None:
        worker = caller.worker("app/op")
        together.wait()
        done.extend(work(caller, worker))

    threads = [threading.Thread(target=run, args=[session()]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done += work(q, q.worker("app/op"))
    assert sorted(done) == batches
    assert {counts(q, batch) for batch in batches} == {("succeeded", 200, 0, 0, 0)}
    assert all(status(q, batch)["done_at"] for batch in batches)
    assert balanced(q)


@pytest.mark.slow
@pytest.mark.parametrize("time", [1, 2])
def test_ten_workers_ten_batches_ten_thousand_rows(q: Caller, session: Session, time: int) -> None:
    """Each worker takes slices of several batches at once and hands them in with one call."""
    batches = [submit(q, 10_000, "abc"[n % 3], "o") for n in range(10)]
    done: list[int] = []
    together = threading.Barrier(10)

    def run(caller: Caller) -> None:
        worker = caller.worker(*QUEUES)
        together.wait()
        while taken := caller.claim(worker, 20, QUEUES):
            done.extend(job["args"]["batch"] for job in taken if job["kind"] == "rows.done")
            answers = [[said(row) for row in job["args"].get("rows", [])] for job in taken]
            assert (
                caller.sql(
                    "select * from pgqueue.settle(%s::bigint[], %s::bigint[], %s, %s::jsonb[])",
                    [job["lease"] for job in taken],
                    [job["id"] for job in taken],
                    ["succeeded"] * len(taken),
                    [Jsonb(answer) for answer in answers],
                )
                == []
            )

    threads = [threading.Thread(target=run, args=[session()]) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done += work(q, q.worker(*QUEUES), said, *QUEUES)
    assert sorted(done) == batches
    assert [counts(q, batch) for batch in batches] == [("succeeded", 10_000, 0, 0, 0)] * 10
    recount = q.sql("select status, count(*), count(distinct (batch_id, row_id)) from pgqueue.row_outcome group by 1")
    assert recount == [("succeeded", 100_000, 100_000)]
    assert balanced(q)
    assert q.places() == {}

"""Random histories of keyed queues: clients and workers side by side; budgets, lists and ends are as they should."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable

import pytest

from tests.sql.calls import Caller, Row
from tests.sql.keyed import ASTRAY, ack, add, added, keys, lose_workers, nothing_left, run, settle, tidy
from tests.support.seeds import seeds

Session = Callable[[], Caller]
BUDGETS = {"a": 1, "b": 3, "c": 5}
KEYS = [f"k{n}" for n in range(8)]
OWNERS = ["one", "two"]

OVER = """
  select i.queue, count(*) from pgqueue.keyed_item i join pgqueue.queue q on q.name = i.queue
  where i.lease_id is not null group by i.queue, q.max_running having count(*) > q.max_running"""


class Hand:
    """One session: a client, an operator and a worker at once. It notes what it was told it had ended."""

    def __init__(self, caller: Caller, seed: int) -> None:
        self.q, self.random = caller, random.Random(seed)
        self.process = self.random.choice(OWNERS)
        self.worker = caller.worker(*BUDGETS)
        self.mine: list[tuple[str, int]] = []
        self.jobs: list[Row] = []
        self.asked: list[int] = []
        self.made: list[int] = []
        self.ends: Counter[int] = Counter()

    def steps(self, count: int) -> None:
        actions = {
            self.add: 5,
            self.run: 4,
            self.claim: 5,
            self.claim_next: 4,
            self.beat: 2,
            self.ack: 8,
            self.cancel: 0.7,
            self.reap: 0.5,
            self.take: 3,
            self.settle: 4,
            self.look: 1,
            self.die: 0.1,
            self.together: 0.5,
        }
        for _ in range(count):
            self.random.choices([*actions], weights=[*actions.values()])[0]()

    def place(self) -> tuple[str, str]:
        return self.random.choice(KEYS), self.random.choice([*BUDGETS])

    def request(self) -> dict[str, object]:
        pick = self.random
        asked: dict[str, object] = {"priority": pick.choice([0, 0, 1, 5]), "reuse": pick.random() < 0.2}
        if pick.random() < 0.3:
            asked |= {"external_id": pick.choice("xyz"), "orphan_ms": 10**7}
        if pick.random() < 0.1:
            asked |= {"exclusive": True, "process_id": self.process}
        return asked | {"max_attempts": pick.choice([1, 3])}

    def noted(self, found: Row) -> None:
        if found["created"]:
            self.made.append(found["id"])
        self.asked.append(found["id"])

    def add(self) -> None:
        key, queue = self.place()
        with self.q.connection.transaction(force_rollback=self.random.random() < 0.1) as made:
            found = add(self.q, key, queue, **self.request())
        if not made.force_rollback:
            self.noted(found)

    def run(self) -> None:
        key, queue = self.place()
        found = run(self.q, key, queue, concurrency=self.random.choice([1, 2, 9, None]), **self.request())
        assert len(found["active"]) <= BUDGETS[queue]
        self.noted(found)
        if found["payload"] is not None:
            self.mine.append((queue, found["id"]))

    def claim(self) -> None:
        key, queue = self.place()
        process = self.random.choice([None, self.process])
        found = self.q.one(
            "keyed_claim", queue=queue, key=key, concurrency=self.random.choice([2, None]), process_id=process
        )
        assert len(found["active"]) <= BUDGETS[queue]
        if found["refused"] is None:
            self.mine.append((queue, found["id"]))

    def claim_next(self) -> None:
        queue = self.random.choice([*BUDGETS])
        n = self.random.choice([1, 1, 4])
        rows = self.q("keyed_claim_next", queue=queue, process_id=self.random.choice([None, self.process]), n=n)
        assert all(len(row["active"]) <= BUDGETS[queue] for row in rows)
        self.mine += [(queue, row["id"]) for row in rows]

    def beat(self) -> None:
        for _, item in self.random.sample(self.mine, min(len(self.mine), 2)):
            self.q.value("keyed_heartbeat", id=item)
            self.q.value("keyed_merge_extra", id=item, extra=f'{{"m{self.random.randrange(3)}":1}}')

    def pop(self) -> int | None:
        return self.mine.pop(self.random.randrange(len(self.mine)))[1] if self.mine else None

    def ack(self) -> None:
        item = self.pop()
        if item is not None:
            self.ends[item] += ack(self.q, item, self.random.choice([f"{item}", None]))

    def cancel(self) -> None:
        key, queue = self.place()
        for row in self.q("keyed_cancel", queue=queue, key=key):
            self.ends[row["id"]] += 1

    def reap(self) -> None:
        """Now and then somebody thinks that all who wait, or all who run, are gone."""
        half = self.random.choice(["heartbeat_ms", "orphan_ms"])
        release = half == "heartbeat_ms" and self.random.random() < 0.7
        queue = self.random.choice([*BUDGETS])
        rows = self.q("keyed_reap", queue=queue, max=self.random.choice([1, 3]), release=release, **{half: 0})
        if not release:
            self.ends.update(row["id"] for row in rows)

    def take(self) -> None:
        queues = self.random.sample([*BUDGETS], self.random.randrange(1, 4))
        self.jobs += self.q.claim(self.worker, self.random.randrange(1, 4), queues)

    def settle(self) -> None:
        self.random.shuffle(self.jobs)
        for job in [self.jobs.pop() for _ in range(min(len(self.jobs), 2))]:
            outcome = self.random.choices(["succeeded", "release", "discard", "failed"], [6, 1, 1, 1])[0]
            problems = [row["problem"] for row in settle(self.q, job, outcome, answer=f"{job['id']}")]
            if problems == ["busy"]:
                self.jobs.append(job)
            final = outcome in ("succeeded", "discard") or (
                outcome == "failed" and job["attempt"] == job["max_attempts"]
            )
            self.ends[job["id"]] += final and problems == []

    def look(self) -> None:
        _, queue = self.place()
        self.q("keyed_list", queue=queue), self.q("keyed_to_cancel", queue=queue, heartbeat_ms=0, orphan_ms=0)
        for item in self.random.sample(self.asked, min(3, len(self.asked))):
            assert self.q.value("keyed_state", id=item)
            for row in self.q("keyed_result_by_id", id=item):
                assert row["state"] == "failed" or row["payload"] == str(item), "nobody else's result"

    def together(self) -> None:
        """Several things in one transaction, of one key: what Cube's driver never does, and SQL's users may."""
        key, queue = self.place()
        with self.q.connection.transaction(force_rollback=True):
            add(self.q, key, queue)
            self.q("keyed_claim", queue=queue, key=key, concurrency=None)

    def die(self) -> None:
        self.q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01' where id = %s", self.worker)
        assert [row for row in self.q("maintain") if row["error"]] == []
        self.worker = self.q.worker(*BUDGETS)


@pytest.mark.parametrize("seed", seeds([1, 2, 3, 4], default=2))
def test_every_item_ends_once_and_no_budget_is_exceeded(q: Caller, session: Session, seed: int) -> None:
    q("configure", settings={"max_crashes": 1000})
    for queue, budget in BUDGETS.items():
        q("configure_queue", queue=queue, settings={"max_running": budget, "backoff": {"base": 0}})
    hands = [Hand(session(), seed * 100 + n) for n in range(4)]
    failures: list[BaseException] = []

    def work(hand: Hand) -> None:
        try:
            hand.steps(150)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=[hand]) for hand in hands]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert q.sql(OVER) == []  # at every moment
        assert q.sql(ASTRAY) == []
        threads[0].join(0.02)
    assert failures == []

    for queue in BUDGETS:
        seen = {process: keys(q, queue=queue, process_id=process) for process in OWNERS}
        lists = q.sql(
            """select i.lease_id is not null, count(*) from pgqueue.keyed_item i where i.queue = %s
               and not i.exclusive group by 1""",
            queue,
        )
        assert dict(lists).get(True, 0) == len(keys(q, "keyed_active", queue))
        assert dict(lists).get(False, 0) == len(keys(q, "keyed_pending", queue))
        ((everything,),) = q.sql("select count(*) from pgqueue.keyed_item i where i.queue = %s", queue)
        own = sum(len(found) - len(keys(q, queue=queue)) for found in seen.values())
        assert everything == len(keys(q, queue=queue)) + own
        ((pending,),) = q.sql("select count(*) from pgqueue.keyed_item where queue = %s and lease_id is null", queue)
        assert added(q, "last", queue)
        assert add(q, "last", queue)["pending"] == pending + 1

    lose_workers(q)
    for hand in hands:
        while hand.mine:
            hand.ack()
    for queue in BUDGETS:
        left = q.value("keyed_truncate", queue=queue)
        assert left >= 0
    made = [item for hand in hands for item in hand.made]
    ends = sum((hand.ends for hand in hands), Counter())
    assert {item for item in ends if ends[item] > 1} == set()
    assert q.sql("select id from unnest(%s::bigint[]) id except select job_id from pgqueue.outcome", made) == []
    assert {item for item in ends if ends[item]} <= set(made)
    nothing_left(q)
    tidy(q)
    for table in ("keyed_request", "keyed_result", "crash", "changed_priority"):
        assert q.sql(f"select count(*) from pgqueue.{table}") == [(0,)], table

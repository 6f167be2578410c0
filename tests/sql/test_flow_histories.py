"""Random graphs of jobs, several sessions, workers lost: what became of every job is what a model says.

Seeds 1 to 3, four sessions of 120 steps each: some 700 jobs in graphs of up to eight layers, with all three policies,
follow-ups on both ends, cancels, retries, and graphs enqueued in transactions that are held open or rolled back. What
is in the tables at the end is checked against what parents and outcomes imply. Seeds 11 to 16: graphs without races,
where a model foretells the end of every job from those of its parents.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.sql.calls import Caller, Row
from tests.sql.test_histories import LOOSE, STANDING, suppress_sqlstate
from tests.support.seeds import seeds

Session = Callable[[], Caller]
QUEUES = ["a", "b"]

# What must hold at any moment between two transactions, when nobody is at work.
FLOW = """
  select 'waits for a number that is not that of its parents', d.job_id from pgqueue.dependent d
  where d.pending <> (select count(*) from pgqueue.dependency e where e.child_id = d.job_id and not e.counted)
  union all
  select 'waits for a parent that has ended, and nobody will look', e.child_id
  from pgqueue.dependency e
  join pgqueue.dependent d on d.job_id = e.child_id
  left join pgqueue.outcome o on o.job_id = e.parent_id
  where not e.counted and o.job_id is not null and not (e.policy = 'wait' and o.state <> 'succeeded')
    and not exists (
      select from pgqueue.parent_look l where l.job_id = e.parent_id and e.child_id between l.low and l.high)
  union all
  select 'waits for a parent that does not know and nobody will look', e.child_id
  from pgqueue.dependency e
  join pgqueue.dependent d on d.job_id = e.child_id
  join (
    select job_id, traits from pgqueue.ready union all select job_id, traits from pgqueue.scheduled
    union all select job_id, traits from pgqueue.arrival where job_id is not null
    union all select job_id, traits from pgqueue.blocked union all select job_id, traits from pgqueue.suspect
    union all select job_id, traits from pgqueue.dependent
    union all select j, coalesce(t, 0) from pgqueue.lease, unnest(job_ids, traits) e(j, t)) w on w.job_id = e.parent_id
  where not e.counted and w.traits & 4096 = 0
    and not exists (
      select from pgqueue.parent_look l where l.job_id = e.parent_id and e.child_id between l.low and l.high)
  union all
  select 'has follow-ups and does not know', f.job_id
  from pgqueue.follow_up f
  join (select job_id, traits from pgqueue.ready union all select job_id, traits from pgqueue.scheduled
    union all select job_id, traits from pgqueue.dependent) w on w.job_id = f.job_id
  where w.traits & 8192 = 0
  union all
  select 'started before its parents had ended', j.id
  from pgqueue.job j
  join pgqueue.outcome o on o.job_id = j.id and o.claimed_at is not null
  cross join unnest(j.depends_on) p(id)
  join pgqueue.outcome e on e.job_id = p.id
  where o.attempt > 0 and not exists (select from retried r where r.id in (j.id, p.id)) and e.finished_at > o.claimed_at
  union all
  select 'ran though its parent had not succeeded', j.id
  from pgqueue.job j
  join pgqueue.outcome o on o.job_id = j.id and o.state = 'succeeded'
  cross join unnest(j.depends_on) p(id)
  join pgqueue.dependency d on d.parent_id = p.id and d.child_id = j.id and d.policy <> 'run'
  join pgqueue.outcome e on e.job_id = p.id and e.state <> 'succeeded'
  where not exists (select from retried r where r.id in (j.id, p.id))
  union all
  select 'cancelled for a parent, and none has failed', o.job_id
  from pgqueue.outcome o
  join pgqueue.job j on j.id = o.job_id
  where o.reason = 'parent_failed' and not exists (
    select from unnest(j.depends_on) p(id) left join pgqueue.outcome e on e.job_id = p.id
    where e.state <> 'succeeded' or exists (select from retried r where r.id = p.id))"""


def make_graph(pick: random.Random, older: list[int]) -> list[dict[str, Any]]:
    """Layers, each waiting for some of the layers above and for jobs that are there already."""
    jobs: list[dict[str, Any]] = []
    for n in range(pick.randrange(1, 9)):
        job: dict[str, Any] = {
            "kind": "k",
            "queue": pick.choice(QUEUES),
            "ref": str(n),
            "max_attempts": pick.choice([1, 2]),
            "backoff": {"base": 0},
        }
        parents: list[Any] = [str(m) for m in range(n) if pick.random() < 0.35]
        parents += pick.sample(older, min(len(older), pick.choice([0, 0, 1, 2])))
        if parents:
            job["depends_on"] = parents
            job["on_parent_failure"] = pick.choice(["cancel", "cancel", "run", "wait"])
        if pick.random() < 0.2:
            job["group_key"] = pick.choice("xyz")
        if pick.random() < 0.25:
            job["on_success"] = {"kind": "good", "queue": pick.choice(QUEUES), "pass_as": "got"}
        if pick.random() < 0.25:
            job["on_error"] = [{"kind": "bad", "queue": pick.choice(QUEUES), "pass_as": "why"}]
        if pick.random() < 0.1:
            job["delay"] = 0.01
        if pick.random() < 0.1:
            job["unique_key"] = str(pick.randrange(5))
        jobs.append(job)
    pick.shuffle(jobs)
    return jobs


class Actor:
    """One session: users, workers and upkeep at random. `ends`: every final outcome it was the one to hand in."""

    def __init__(self, caller: Caller, seed: int) -> None:
        self.q = caller
        self.random = random.Random(seed)
        self.worker = caller.worker(*QUEUES)
        self.held: list[Row] = []
        self.accepted: list[tuple[int, str]] = []
        self.open = False

    def run(self, steps: int) -> None:
        actions = {
            self.enqueue: 3.0,
            self.claim: 5.0,
            self.settle: 7.0,
            self.cancel: 0.7,
            self.retry: 0.7,
            self.change: 0.5,
            self.die: 0.2,
            self.maintain: 1.5,
            self.begin: 0.5,
        }
        for _ in range(steps):
            if self.open and self.random.random() < 0.3:
                self.end()
            self.random.choices(list(actions), list(actions.values()))[0]()
        if self.open:
            self.end()

    def begin(self) -> None:
        """A transaction of several enqueues, held open while others work. Nothing else is done in it."""
        if not self.open:
            self.q.sql("begin")
            self.open = True

    def end(self) -> None:
        self.q.sql(self.random.choice(["commit", "commit", "rollback"]))
        self.open = False

    def enqueue(self) -> None:
        older = [row["id"] for row in self.q("jobs", max=self.random.choice([5, 40]))]
        self.q("enqueue_many", jobs=Jsonb(make_graph(self.random, older)))

    def alone(self) -> None:
        if self.open:
            self.end()

    def claim(self) -> None:
        self.alone()
        self.held += self.q.claim(self.worker, self.random.randrange(1, 8), queues=QUEUES)

    def settle(self) -> None:
        self.alone()
        if not self.held:
            return
        self.random.shuffle(self.held)
        n = self.random.randrange(1, len(self.held) + 1)
        now, self.held = self.held[:n], self.held[n:]
        outcome = self.random.choice(["succeeded"] * 5 + ["failed", "discard", "release", "snooze", "cancelled"])
        more = {"delay": 0} if outcome == "snooze" else {"result": 1} if outcome == "succeeded" else {}
        refused = {row["job_id"]: row["problem"] for row in self.q.settle(now, outcome, **more)}
        self.held += [job for job in now if refused.get(job["id"]) == "busy"]
        self.accepted += [(job["id"], outcome) for job in now if job["id"] not in refused]

    def cancel(self) -> None:
        self.alone()
        jobs = self.q("jobs", max=30)
        if jobs:
            self.q("cancel", id=self.random.choice(jobs)["id"])

    def retry(self) -> None:
        self.alone()
        for job in self.q("jobs", max=2, state=self.random.choice(["failed", "cancelled"])):
            with suppress_sqlstate("PQ005"):
                self.q.sql("insert into retried values (%s)", job["id"])
                self.q("retry", id=job["id"])

    def change(self) -> None:
        self.alone()
        for job in self.q("jobs", max=3, state="held"):
            with suppress_sqlstate("PQ005"):
                self.q("set_priority", id=job["id"], priority=self.random.choice([-1, 0, 5]))

    def die(self) -> None:
        self.alone()
        self.q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01' where id = %s", self.worker)
        self.maintain()
        self.worker = self.q.worker(*QUEUES)
        late, self.held = self.held, []
        if late and self.random.random() < 0.5:
            refused = {row["job_id"] for row in self.q.settle(late)}
            self.accepted += [(job["id"], "succeeded") for job in late if job["id"] not in refused]

    def maintain(self) -> None:
        self.alone()
        assert [row for row in self.q("maintain") if row["error"]] == []


def follow_ups_wanted(q: Caller) -> list[Any]:
    """For each job with follow-ups that was never retried: those it must have, and those it has."""
    return q.sql(
        """select j.id, o.state from pgqueue.job j join pgqueue.outcome o on o.job_id = j.id
           where j.id in (select (headers -> 'parent' ->> 'job')::bigint from pgqueue.job where headers ? 'parent')
             and not exists (select from retried r where r.id = j.id)
             and 1 <> (select count(*) from pgqueue.job f where f.headers -> 'parent' ->> 'job' = j.id::text
                       and f.kind = case o.state when 'succeeded' then 'good' else 'bad' end)"""
    )


def bring_to_the_end(q: Caller) -> None:
    q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
    q("maintain")
    worker = q.worker(*QUEUES)
    for _ in range(2000):
        taken = q.claim(worker, queues=QUEUES)
        q.settle(taken, result=1)
        q("maintain", duties=["promote", "rescue", "dependents"])
        if not taken and not q.sql(
            "select 1 from pgqueue.scheduled union all select 1 from pgqueue.parent_look limit 1"
        ):
            break
    # What is left waits for a parent that has failed, as it was told to, or for such a one.
    left = q.sql(
        """select d.job_id from pgqueue.dependent d where not exists (
             select from pgqueue.dependency e left join pgqueue.outcome o on o.job_id = e.parent_id
             where e.child_id = d.job_id and not e.counted
               and (o.state <> 'succeeded' and e.policy = 'wait' or o.job_id is null))"""
    )
    assert left == []
    for _ in range(300):
        stuck = q.sql(
            """select distinct e.parent_id from pgqueue.dependency e join pgqueue.dependent d on d.job_id = e.child_id
               join pgqueue.outcome o on o.job_id = e.parent_id where not e.counted and o.state <> 'succeeded'"""
        )
        for (parent,) in stuck:
            q.sql("insert into retried values (%s)", parent)
            with suppress_sqlstate("PQ005"):
                q("retry", id=parent)
                continue
            # Its unique key is held, perhaps by a job that waits for it: nobody but a user can undo such a knot.
            q.sql("select pgqueue.cancel(child_id) from pgqueue.dependency where parent_id = %s", parent)
        q("maintain", duties=["dependents", "promote", "admit"])
        q.settle(q.claim(worker, queues=QUEUES), result=1)
        q.sql("update pgqueue.cancel_request set requested_at = '2020-01-01'")
        q("maintain", duties=["tidy"])
        if not q.places():
            break


@pytest.mark.parametrize("seed", seeds([1, 2, 3]))
def test_graphs_end_as_the_model_says(q: Caller, session: Session, seed: int) -> None:
    for queue in QUEUES:
        q("configure_queue", queue=queue, settings={"group_limit": 2})
    q("configure", settings={"max_crashes": 100})
    q.sql("create table retried (id bigint)")
    actors = [Actor(session(), seed * 100 + n) for n in range(4)]
    failures: list[BaseException] = []

    def run(actor: Actor) -> None:
        try:
            actor.run(120)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=run, args=[actor]) for actor in actors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert q.sql(STANDING) == []
    assert q.sql(LOOSE) == []
    assert q.sql(FLOW) == []
    bring_to_the_end(q)
    assert q.sql(STANDING) == []
    assert q.sql(FLOW) == []
    assert q.places() == {}
    assert follow_ups_wanted(q) == []
    assert q.sql("select * from pgqueue.late_follow_up") == []
    states = dict(q.sql("select coalesce(reason, state::text), count(*) from pgqueue.outcome group by 1"))
    assert states["succeeded"] > 50
    assert states["parent_failed"] > 5
    retried = {row[0] for row in q.sql("select id from retried")}
    once = Counter(
        job
        for actor in actors
        for job, outcome in actor.accepted
        if outcome in ("succeeded", "discard", "cancelled") and job not in retried
    )
    assert set(once.values()) == {1}


@pytest.mark.parametrize("seed", seeds(range(11, 17), default=2))
def test_outcomes_follow_from_outcomes(q: Caller, seed: int) -> None:
    """Without races the end of every job is foretold: from what it would do itself, and from its parents' ends."""
    pick = random.Random(seed)
    worker = q.worker(*QUEUES)
    own: dict[int, str] = {}
    parents: dict[int, list[int]] = {}
    policy: dict[int, str] = {}
    for _ in range(8):
        jobs = [
            {**job, "unique_key": None, "delay": None, "max_attempts": 1}
            for job in make_graph(pick, pick.sample(list(own), min(len(own), 20)))
        ]
        ids = [row["id"] for row in q("enqueue_many", jobs=Jsonb(jobs))]
        named = {job["ref"]: id for job, id in zip(jobs, ids, strict=True)}
        for job, id in zip(jobs, ids, strict=True):
            own[id] = pick.choice(["succeeded", "succeeded", "discard"])
            parents[id] = [named[p] if isinstance(p, str) else p for p in job.get("depends_on", [])]
            policy[id] = job.get("on_parent_failure", "cancel")
        for job in q.claim(worker, pick.randrange(1, 10), queues=QUEUES):
            assert q.settle([job], own.get(job["id"], "succeeded")) == []
    foretold: dict[int, str] = {}

    def foretell(job: int) -> str:
        if job not in foretold:
            ends = [foretell(parent) for parent in parents[job]]
            bad = any(end in ("failed", "cancelled") for end in ends)
            if bad and policy[job] == "cancel":
                foretold[job] = "cancelled"
            elif "held" in ends or (bad and policy[job] == "wait"):
                foretold[job] = "held"
            else:
                foretold[job] = "failed" if own[job] == "discard" else "succeeded"
        return foretold[job]

    while True:
        q("maintain", duties=["dependents"])
        taken = q.claim(worker, queues=QUEUES)
        for job in taken:
            assert q.settle([job], own.get(job["id"], "succeeded")) == []
        if not taken and q.sql("select count(*) from pgqueue.parent_look") == [(0,)]:
            break
    assert {job: q.state(job) for job in own} == {job: foretell(job) for job in own}
    assert {"succeeded", "cancelled", "failed", "held"} == set(foretold.values())

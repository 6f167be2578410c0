"""Unique keys in random histories: one session against a model that predicts every answer, and several at once whose
books must balance.
"""

from __future__ import annotations

import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from tests.sql.calls import Caller, Row
from tests.sql.support import many
from tests.sql.test_histories import STANDING
from tests.sql.test_unique import at
from tests.support.seeds import seeds

Session = Callable[[], Caller]
KEYS = "abcd"
PERIOD = 7
POLICIES = ["return", "replace", "debounce", "raise"]
MODES: dict[str, dict[str, Any]] = {
    "finish": {},
    "start": {"unique_until": "start"},
    "period": {"unique_for": PERIOD},
}


@dataclass
class Job:
    id: int
    key: str
    mode: str
    n: int
    due: int
    state: str = "waiting"
    spent: int = 0


@dataclass
class Model:
    """What the guide says, in Python. A key is held by (job, until); until is None when an event frees it."""

    jobs: dict[int, Job] = field(default_factory=dict)
    held: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    now: int = 0

    def holder(self, key: str) -> tuple[int, int | None] | None:
        found = self.held.get(key)
        return None if found and found[1] is not None and found[1] <= self.now else found

    def take(self, job: Job) -> None:
        self.held[job.key] = (job.id, self.now + PERIOD if job.mode == "period" else None)

    def enqueue(self, id_: int, key: str, mode: str, policy: str, n: int, due: int) -> tuple[int, bool] | None:
        """The answer, where a new job would have that id; None for a refusal."""
        new = Job(id_, key, mode, n, due)
        holder = self.holder(key)
        if holder is not None:
            job, until = self.jobs[holder[0]], holder[1]
            if policy == "raise":
                return None
            if policy == "return" or (job.state != "waiting" and until is not None):
                return job.id, False
            if job.state == "waiting":
                job.n = n
                if policy == "debounce":
                    job.due = due if due > self.now or job.due > self.now else job.due
                    if until is not None and mode == "period":
                        self.held[key] = (job.id, self.now + PERIOD)
                return job.id, False
        self.jobs[id_] = new
        self.take(new)
        return id_, True

    def claim(self, id_: int, n: int) -> None:
        job = self.jobs[id_]
        assert (job.state, job.n) == ("waiting", n) and job.due <= self.now
        job.state = "running"
        if job.mode == "start" and self.held.get(job.key) == (id_, None):
            del self.held[job.key]

    def end(self, job: Job, state: str) -> None:
        job.state = state
        if self.held.get(job.key) == (job.id, None):
            del self.held[job.key]

    def back(self, job: Job, due: int) -> None:
        holder = self.holder(job.key)
        if job.mode != "period" and holder not in (None, (job.id, None)):
            self.end(job, "superseded")
            return
        job.state, job.due = "waiting", due
        if job.mode != "period":
            self.held[job.key] = (job.id, None)

    def settle(self, job: Job, outcome: str, delay: int) -> None:
        if outcome not in ("release", "snooze"):
            job.spent += 1
        if outcome == "succeeded":
            self.end(job, "succeeded")
        elif outcome == "discard" or (outcome in ("failed", "retry") and job.spent >= 3):
            self.end(job, "failed")
        elif outcome == "cancelled":
            self.end(job, "cancelled")
        else:
            self.back(job, self.now + (delay if outcome in ("retry", "snooze") else 0))


class History:
    """Does something at random, and holds what comes of it against the model."""

    def __init__(self, q: Caller, seed: int) -> None:
        self.q = q
        self.random = random.Random(seed)
        self.model = Model()
        self.worker = q.worker()
        self.running: dict[int, Row] = {}
        self.done: Counter[str] = Counter()
        at(q, 0)

    def enqueue(self) -> None:
        pick, model = self.random, self.model
        elements: list[dict[str, Any]] = []
        expected: list[tuple[int, bool] | None] = []
        for place in range(pick.choice([1, 1, 1, 2, 5])):
            key, mode = pick.choice(KEYS), pick.choice(list(MODES))
            policy, delay = pick.choice(POLICIES[: 3 if place else 4]), pick.choice([0, 0, 3])
            n = pick.randrange(10**6)
            elements.append(
                {
                    "kind": "k",
                    "args": {"n": n},
                    "unique_key": key,
                    "on_duplicate": policy,
                    "delay": delay,
                    "max_attempts": 3,
                    "backoff": {"base": 0},
                    **MODES[mode],
                }
            )
            expected.append(model.enqueue(-1 - place, key, mode, policy, n, model.now + delay))
            self.done[policy] += 1
            if expected[-1] is None:
                break
        try:
            found = many(self.q, *elements)
        except psycopg.Error as error:
            if error.sqlstate != "PQ005" or expected[-1] is not None:
                raise
            return
        assert None not in expected, elements
        # The ids of new jobs are known now.
        names = {want[0]: got[0] for want, got in zip(expected, found, strict=True) if want and want[1]}
        for name, id_ in names.items():
            model.jobs[id_] = model.jobs.pop(name)
            model.jobs[id_].id = id_
        model.held = {key: (names.get(id_, id_), until) for key, (id_, until) in model.held.items()}
        assert found == [(names.get(want[0], want[0]), want[1]) for want in expected if want]

    def claim(self) -> None:
        for row in self.q.claim(self.worker, self.random.choice([1, 3, 100])):
            self.model.claim(row["id"], row["args"]["n"])
            self.running[row["id"]] = row

    def settle(self) -> None:
        """One of a key at a time: of two that come back to one key in one call, either may be first."""
        keys: set[str] = set()
        for id_ in self.random.sample(list(self.running), min(len(self.running), 3)):
            if self.model.jobs[id_].key in keys:
                continue
            keys.add(self.model.jobs[id_].key)
            outcome, delay = self.random.choice(OUTCOMES), self.random.choice([0, 4])
            assert self.q.settle([self.running.pop(id_)], outcome, delay=delay, error={}) == []
            self.model.settle(self.model.jobs[id_], outcome, delay)
            self.done[outcome] += 1

    def cancel(self) -> None:
        waiting = [job for job in self.model.jobs.values() if job.state == "waiting"]
        if waiting:
            job = self.random.choice(waiting)
            assert self.q.one("cancel", id=job.id)["changed"]
            self.model.end(job, "cancelled")

    def retry(self) -> None:
        over = [job for job in self.model.jobs.values() if job.state in ("failed", "cancelled", "superseded")]
        if not over:
            return
        job = self.random.choice(over)
        free = job.mode == "period" or self.model.holder(job.key) is None
        try:
            self.q("retry", id=job.id)
        except psycopg.Error as error:
            if error.sqlstate != "PQ005" or free:
                raise
            return
        assert free
        job.spent = 0
        self.model.back(job, self.model.now)

    def lose(self) -> None:
        """The worker is gone. Of two that come back to one key, one waits and the other has ended."""
        self.q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
        self.q("maintain", duties=["rescue"])
        self.worker = self.q.worker()
        lost = [self.model.jobs[id_] for id_ in self.running]
        self.running = {}
        ended = {job.id for job in lost if self.q.state(job.id) == "cancelled"}
        for job in sorted(lost, key=lambda job: job.id in ended):
            self.model.back(job, self.model.now)
            assert (job.state == "superseded") == (job.id in ended)

    def wait(self) -> None:
        self.model.now += self.random.randrange(1, 6)
        at(self.q, self.model.now)
        self.q("maintain", duties=["promote", "tidy"])

    def check(self) -> None:
        model, q = self.model, self.q
        held = {
            key: (job, None if until is None else int(until))
            for key, job, until in q.sql(
                """select unique_key, job_id, extract(epoch from until - '2030-01-01 12:00:00+00'::timestamptz)
                   from pgqueue.job_key"""
            )
        }
        live = {key: found for key, found in held.items() if found[1] is None or found[1] > model.now}
        assert live == {key: found for key in model.held if (found := model.holder(key)) is not None}
        states = {row["id"]: row["reason"] or row["state"] for row in q("jobs", max=10000)}
        for job in model.jobs.values():
            found = states.pop(job.id)
            if job.state == "waiting":
                assert found == ("scheduled" if job.due > model.now else "queued")
            else:
                assert found.startswith(job.state) or (job.state, found) == ("failed", "error")
        assert states == {}


OUTCOMES = ["succeeded", "failed", "retry", "snooze", "release", "discard", "cancelled"]


@pytest.mark.parametrize("seed", seeds(range(6), default=2))
def test_one_session_as_the_model_says(q: Caller, seed: int) -> None:
    """Six histories of 200 steps, about a hundred enqueues each: every answer and every state is predicted."""
    q("configure", settings={"max_crashes": 1000})
    history = History(q, seed)
    steps = [history.enqueue, history.claim, history.settle, history.cancel, history.retry, history.wait, history.lose]
    for _ in range(200):
        history.random.choices(steps, weights=[8, 4, 6, 1, 1.5, 2, 0.4])[0]()
        history.check()
    assert history.done["replace"] > 10 and history.done["debounce"] > 10
    for _ in range(40):
        history.claim()
        for row in [*history.running.values()]:
            assert q.settle([row]) == []
            history.model.settle(history.model.jobs[row["id"]], "succeeded", 0)
        history.running = {}
        history.wait()
    history.check()
    assert {job.state for job in history.model.jobs.values()} <= {"succeeded", "failed", "cancelled", "superseded"}
    assert set(q.places()) <= {"job_key"}


# What must hold in every snapshot, and what each row of an answer means.
WRONG = """
  with waits as (
    select job_id, traits, 'ready' as place from pgqueue.ready
    union all select job_id, traits, 'scheduled' from pgqueue.scheduled
    union all select job_id, traits, 'suspect' from pgqueue.suspect
    union all select job_id, traits, 'arrival' from pgqueue.arrival where job_id is not null
    union all select job_id, traits, 'blocked' from pgqueue.blocked),
  keyed as (
    select w.*, j.unique_key, k.job_id is not null as holds
    from waits w join pgqueue.job j on j.id = w.job_id left join pgqueue.job_key k on k.job_id = w.job_id
    where w.traits & 2049 <> 0)
  select 'waits beside another of its key', unique_key, count(*)
  from keyed where holds group by 1, 2 having count(*) > 1
  union all
  select 'waits to be claimed without its key', unique_key, job_id from keyed where not holds and place <> 'scheduled'
  union all
  select 'created within the period of another', a.unique_key, a.id
  from pgqueue.job a
  join pgqueue.job b on b.unique_key = a.unique_key and a.unique_until = 'period' and b.unique_until = 'period'
  where a.id <> b.id and b.created_at between a.created_at and a.created_at + interval '0.099 s'"""


class Actor:
    """One session of several. Every accepted call carries a number of its own, and draws its place in the order of
    those that changed the job while it still has the job locked.
    """

    def __init__(self, caller: Caller, seed: int) -> None:
        self.q = caller
        self.random = random.Random(seed)
        self.worker = caller.worker()
        self.held: list[Row] = []
        self.written: list[tuple[int, int, int]] = []  # job, order, n
        self.claimed: list[tuple[int, int, int]] = []  # job, attempt, n
        self.succeeded: set[int] = set()

    def enqueue(self) -> None:
        pick = self.random
        keys = pick.sample("abcdefgh", pick.choice([1, 1, 3]))
        elements = [
            {
                "kind": "k",
                "args": {"n": pick.randrange(10**9)},
                "unique_key": f"{mode} {key}",
                "on_duplicate": pick.choice(POLICIES[:3]),
                "delay": pick.choice([0, 0, 0.01]),
                "max_attempts": 100,
                "backoff": {"base": 0},
                **({"group_key": "g"} if key in "ab" else {}),
                **({"unique_for": 0.1} if mode == "period" else MODES[mode]),
            }
            for key in keys
            for mode in [pick.choice(list(MODES))]
        ]
        with self.q.connection.transaction(force_rollback=pick.random() < 0.15) as transaction:
            found = many(self.q, *elements)
            order = self.q.sql("select nextval('public.written')")[0][0]
            now = {
                id_: self.q.sql("select args ->> 'n' from pgqueue.job where id = %s", id_)
                for (id_, _), element in zip(found, elements, strict=True)
                if element["on_duplicate"] != "return"
            }
        if transaction.force_rollback:
            return
        for (id_, created), element in zip(found, elements, strict=True):
            n = element["args"]["n"]
            if created or now.get(id_) == [(str(n),)]:
                self.written.append((id_, order, n))

    def claim(self) -> None:
        with self.q.connection.transaction(force_rollback=self.random.random() < 0.1) as transaction:
            rows = self.q.claim(self.worker, self.random.randrange(1, 6))
        if not transaction.force_rollback:
            self.held += rows
            self.claimed += [(row["id"], row["attempt"], row["args"]["n"]) for row in rows]

    def settle(self) -> None:
        self.random.shuffle(self.held)
        n = self.random.randrange(len(self.held) + 1)
        now, self.held = self.held[:n], self.held[n:]
        outcome = self.random.choice(["succeeded", "succeeded", "failed", "release", "snooze", "discard"])
        refused = {row["job_id"] for row in self.q.settle(now, outcome, delay=0, error={})} if now else set()
        if outcome == "succeeded":
            self.succeeded |= {row["id"] for row in now if row["id"] not in refused}

    def look(self) -> None:
        assert self.q.sql(WRONG) == []

    def change(self) -> None:
        job = self.random.choice(self.q("jobs", max=30) or [{"id": 0, "state": "none"}])
        try:
            if job["state"] in ("queued", "scheduled"):
                self.q("cancel", id=job["id"])
            elif job["state"] in ("failed", "cancelled"):
                self.q("retry", id=job["id"])
        except psycopg.Error as error:
            if error.sqlstate != "PQ005":
                raise

    def maintain(self) -> None:
        assert [row for row in self.q("maintain", duties=["promote", "tidy", "admit", "rescue"]) if row["error"]] == []

    def die(self) -> None:
        self.q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01' where id = %s", self.worker)
        self.maintain()
        self.worker, self.held = self.q.worker(), []

    def run(self) -> None:
        steps = [self.enqueue, self.claim, self.settle, self.look, self.change, self.maintain, self.die]
        for _ in range(80):
            self.random.choices(steps, weights=[6, 4, 5, 1, 1, 2, 0.2])[0]()


@pytest.mark.parametrize("seed", seeds(range(3)))
def test_several_sessions_and_no_replacement_is_lost(q: Caller, session: Session, seed: int) -> None:
    """Three histories, four sessions of 80 steps each: enqueues of all kinds and policies in batches, some rolled back,
    claims, settles, cancels, retries, workers lost. What a job was last given is what its last execution had; nothing
    else was ever handed out.
    """
    q.sql("create sequence public.written")
    q("configure_queue", queue="default", settings={"group_limit": 2})
    q("configure", settings={"max_crashes": 1000})
    actors = [Actor(session(), 100 * seed + n) for n in range(4)]
    failures: list[BaseException] = []

    def run(actor: Actor) -> None:
        try:
            actor.run()
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=run, args=[actor]) for actor in actors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert q.sql(STANDING) == [] and q.sql(WRONG) == []

    q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
    q.sql("select set_config('pgqueue.now', (clock_timestamp() + interval '9 s')::text, false)")
    q("maintain")
    last = actors[0]
    last.q, last.worker, last.held = q, q.worker(), []
    for _ in range(1000):
        taken = q.claim(last.worker)
        last.claimed += [(row["id"], row["attempt"], row["args"]["n"]) for row in taken]
        assert q.settle(taken) == []
        last.succeeded |= {row["id"] for row in taken}
        if not taken:
            break
    # A cancel may have asked for a job that was ending just then.
    assert set(q.places()) <= {"job_key", "cancel_request"}
    assert q.sql("select count(*) from pgqueue.job_key where until is null") == [(0,)]

    written: dict[int, list[tuple[int, int]]] = defaultdict(list)
    claimed: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for actor in actors:
        for job, order, n in actor.written:
            written[job].append((order, n))
        for job, attempt, n in actor.claimed:
            claimed[job].append((attempt, n))
    rows = q.sql(
        """select j.id, (j.args ->> 'n')::bigint, o.state::text
           from pgqueue.job j join pgqueue.outcome o on o.job_id = j.id"""
    )
    assert {job for job, _, _ in rows} == set(written)
    succeeded = set().union(*(actor.succeeded for actor in actors))
    for job, n, state in rows:
        assert max(written[job])[1] == n, "the last one that was accepted is the one that counts"
        assert {handed for _, handed in claimed[job]} <= {given for _, given in written[job]}
        assert (state == "succeeded") == (job in succeeded)
        if state == "succeeded":
            assert n in {handed for _, handed in claimed[job]}
    assert len(rows) > 50 and sum(len(each) > 1 for each in written.values()) > 10

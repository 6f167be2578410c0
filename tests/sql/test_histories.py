"""Random histories: sessions side by side do everything at once, and the books still balance."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.sql.calls import Caller, Row
from tests.support.seeds import seeds

Session = Callable[[], Caller]
QUEUES = ["a", "b", "r/o"]

# Every job that is not gone stands in exactly one place.
STANDING = """
  with place as (
    select job_id from pgqueue.outcome
    union all select job_id from pgqueue.ready
    union all select job_id from pgqueue.scheduled
    union all select job_id from pgqueue.arrival where job_id is not null
    union all select job_id from pgqueue.blocked
    union all select job_id from pgqueue.suspect
    union all select job_id from pgqueue.line
    union all select job_id from pgqueue.held
    union all select job_id from pgqueue.dependent
    union all select j from pgqueue.lease, unnest(job_ids) j)
  select j.id, count(p.job_id) from pgqueue.job j left join place p on p.job_id = j.id
  group by j.id having count(p.job_id) <> 1"""

LOOSE = """
  select 'slot of a job neither ready nor running', s.job_id from pgqueue.slot s
  where s.job_id not in (
    select job_id from pgqueue.ready
    union select job_id from pgqueue.suspect
    union select j from pgqueue.lease, unnest(job_ids) j)
  union all
  select 'admitted without a slot', r.job_id from pgqueue.ready r
  where r.traits & 2 <> 0 and r.job_id not in (select job_id from pgqueue.slot)
  union all
  select 'turn of a job that does not run', t.job_id from pgqueue.turn t
  where t.job_id not in (select j from pgqueue.lease, unnest(job_ids) j)
  union all
  select 'runs without a turn', j from pgqueue.lease, unnest(job_ids, traits) e(j, t)
  where t & 128 <> 0 and j not in (select job_id from pgqueue.turn)
  union all
  select 'in line, and its owner is forgotten', l.job_id from pgqueue.line l
  where not exists (select from pgqueue.owner_turns t where t.queue = l.queue and t.owner = l.owner)
  union all
  select 'scripts of one owner side by side', count(*) from pgqueue.turn
  where traits & 256 <> 0 group by queue, owner having count(*) > 1
  union all
  select 'script that runs nowhere', s.job_id from pgqueue.script s
  where 'running' in (s.status, s.fallback_status) and s.job_id not in (select job_id from pgqueue.turn)
  union all
  select 'final script whose job is live, or the other way round', s.job_id
  from pgqueue.script s left join pgqueue.outcome o on o.job_id = s.job_id
  where (s.expires_at is null) <> (o.job_id is null)
  union all
  select 'audit without an end, or with one too early', r.job_id
  from pgqueue.query_run r left join pgqueue.outcome o on o.job_id = r.job_id
  where r.outcome is distinct from o.state
  union all
  select 'owner over the limit', count(*) from pgqueue.turn group by queue, owner having count(*) > 2
  union all
  select 'held slice of a batch that is not', h.job_id
  from pgqueue.held h left join pgqueue.batch b on b.id = h.batch_id where b.status is distinct from 'held'
  union all
  select 'slice that is live, of a batch that is over', s.job_id
  from pgqueue.batch_slice s join pgqueue.batch b on b.id = s.batch_id
  where b.done_at is not null and s.job_id not in (select job_id from pgqueue.outcome)
    and s.job_id not in (select job_id from pgqueue.cancel_request)
  union all
  select 'rows pending in no slice', c.batch_id
  from pgqueue.batch_count c
  where c.pending > (
    select coalesce(sum(jsonb_array_length(j.args -> 'rows')), 0)
    from pgqueue.batch_slice s join pgqueue.job j on j.id = s.job_id
    where s.batch_id = c.batch_id and s.job_id not in (select job_id from pgqueue.outcome))
  union all
  select 'counters apart from what is recorded', c.batch_id
  from pgqueue.batch_count c
  where c.rows - c.pending <> (select count(*) from pgqueue.row_outcome o where o.batch_id = c.batch_id)
  union all
  select 'batch that is over without a callback, or with two', b.id
  from pgqueue.batch b
  where (b.done_at is not null)::int <> (
    select count(*) from pgqueue.job j where j.kind = 'rows.done' and j.args ->> 'batch' = b.id::text)
  union all
  select 'key of a job that is not live', k.job_id from pgqueue.job_key k join pgqueue.outcome o on o.job_id = k.job_id
  union all
  select 'group over its limit', count(*) from pgqueue.slot group by queue, group_key having count(*) > 2"""


@contextmanager
def suppress_sqlstate(code: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        if error.sqlstate != code:
            raise


class Actor:
    """One session that does what workers, users and operators do, at random."""

    def __init__(self, caller: Caller, seed: int) -> None:
        self.q = caller
        self.random = random.Random(seed)
        self.worker = caller.worker(*QUEUES)
        self.held: list[Row] = []
        self.accepted: list[tuple[int, str]] = []

    def run(self, steps: int) -> None:
        actions = [
            self.enqueue,
            self.submit,
            self.submit_batch,
            self.abort,
            self.claim,
            self.claim,
            self.settle,
            self.settle,
            self.settle,
            self.cancel,
            self.die,
            self.change,
            self.maintain,
        ]
        for _ in range(steps):
            self.random.choices(actions, weights=[3, 1.5, 0.7, 0.3, 3, 3, 4, 4, 4, 1, 0.3, 0.5, 0.5])[0]()

    def enqueue(self) -> None:
        pick = self.random
        jobs = [
            {
                "kind": "k",
                "queue": pick.choice("ab"),
                "priority": pick.choice([0, 0, 5]),
                "max_attempts": pick.choice([1, 3]),
                "backoff": {"base": 0},
                **({"group_key": pick.choice("xyz")} if pick.random() < 0.4 else {}),
                **({"unique_key": str(pick.randrange(20))} if pick.random() < 0.3 else {}),
            }
            for _ in range(pick.randrange(1, 6))
        ]
        rollback = pick.random() < 0.1
        with self.q.connection.transaction(force_rollback=rollback):
            self.q("enqueue_many", jobs=psycopg.types.json.Jsonb(jobs))

    def submit(self) -> None:
        """Several in one transaction, in one order: equal queries and owners are what transactions meet at."""
        pick = self.random
        queries = sorted(pick.choices(range(4), k=pick.randrange(3)))
        scripts = sorted((pick.choice("ab"), pick.choice("xyz")) for _ in range(pick.randrange(3)))
        with self.q.connection.transaction(force_rollback=pick.random() < 0.1):
            for n in queries:
                self.q("submit_query", sql=f"select {n}", owner=pick.choice("xyz"), queue=pick.choice("ab"))
            for queue, owner in scripts:
                document = psycopg.types.json.Jsonb(["select 1"] * pick.randrange(1, 4))
                self.q("submit_script", document=document, owner=owner, queue=queue)

    def submit_batch(self) -> None:
        pick = self.random
        rows = pick.randrange(1, 20)
        with self.q.connection.transaction(force_rollback=pick.random() < 0.1):
            batch = self.q.value(
                "batch_submit_each",
                app="r",
                op="o",
                context={},
                lines=list(range(1, rows + 1)),
                inputs=[{}] * rows,
                hold=pick.random() < 0.3,
                slice_size=pick.choice([1, 5]),
            )
            if pick.random() < 0.5:
                self.q("batch_release", id=batch)

    def abort(self) -> None:
        for batch in self.q("batch_list", max=5, kind="batch"):
            if self.random.random() < 0.3:
                self.q("batch_abort", id=batch["id"])

    def claim(self) -> None:
        self.held += self.q.claim(self.worker, self.random.randrange(1, 8), queues=QUEUES)

    def settle(self) -> None:
        if not self.held:
            return
        self.random.shuffle(self.held)
        n = self.random.randrange(1, len(self.held) + 1)
        now, self.held = self.held[:n], self.held[n:]
        now = [job for job in now if self.work(job)]
        outcome = self.random.choice(
            ["succeeded", "succeeded", "succeeded", "failed", "release", "discard", "snooze", "cancelled", "timeout"]
        )
        with self.q.connection.transaction():
            refused = {
                row["job_id"]: row["problem"]
                for row in self.q.settle(now, outcome, **({"delay": 0} if outcome == "snooze" else {}))
            }
        self.held += [job for job in now if refused.get(job["id"]) == "busy"]
        self.accepted += [(job["id"], outcome) for job in now if job["id"] not in refused]

    def work(self, job: Row) -> bool:
        """What comes before the outcome of a script or query; False for what has been handed in here or is not ours."""
        lease = {"lease": job["lease"], "job": job["id"]}
        room = job["kind"].removeprefix("sql.")
        if room == job["kind"] or self.random.random() < 0.2:
            return True
        try:
            self.q(f"{room}_begin", **lease, backend_pid=1, backend_start="2026-01-01")
            if self.random.random() < 0.2:
                return True
            verdict = self.q.one(f"{room}_end", **lease)["verdict"]
        except psycopg.Error as error:
            if error.sqlstate != "PQ004":
                raise
            return False
        if refused := self.q.settle([job], verdict):
            self.held += [job] if refused[0]["problem"] == "busy" else []
        else:
            self.accepted.append((job["id"], verdict))
        return False

    def cancel(self) -> None:
        jobs = self.q("jobs", max=30)
        if jobs:
            self.q("cancel", id=self.random.choice(jobs)["id"])

    def die(self) -> None:
        """The process is gone; what it held is rescued."""
        self.q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01' where id = %s", self.worker)
        self.maintain()
        self.worker = self.q.worker(*QUEUES)
        late, self.held = self.held, []
        if late and self.random.random() < 0.5:
            # … or was not quite gone. What it says now is stale, unless upkeep has not declared it lost yet.
            refused = {row["job_id"] for row in self.q.settle(late)}
            self.accepted += [(job["id"], "succeeded") for job in late if job["id"] not in refused]

    def change(self) -> None:
        for job in self.q("jobs", max=5, state="queued"):
            # PQ005: claimed or ended by another since it was listed
            with suppress_sqlstate("PQ005"):
                self.q("set_priority", id=job["id"], priority=self.random.choice([-1, 0, 5]))

    def maintain(self) -> None:
        assert [row for row in self.q("maintain") if row["error"]] == []


@pytest.mark.parametrize("seed", seeds([1, 2, 3], default=2))
def test_books_balance(q: Caller, session: Session, seed: int) -> None:
    for queue in "ab":
        q("configure_queue", queue=queue, settings={"group_limit": 2, "max_running": 20})
    q("configure", settings={"max_crashes": 100})
    actors = [Actor(session(), seed * 100 + n) for n in range(4)]
    failures: list[BaseException] = []

    def run(actor: Actor) -> None:
        try:
            actor.run(150)
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

    # Everything left is brought to its end.
    for batch in q("batch_list", status="held", max=1000):
        q("batch_release", id=batch["id"])
    q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
    q("maintain")
    worker = q.worker(*QUEUES)
    for _ in range(2000):
        taken = q.claim(worker, queues=QUEUES)
        q.settle(taken)
        if not taken and not q.sql("select 1 from pgqueue.scheduled limit 1"):
            break
        q("maintain", duties=["promote", "rescue"])
    q.sql("update pgqueue.cancel_request set requested_at = '2020-01-01'")
    q("maintain", duties=["tidy"])
    assert q.sql(STANDING) == []
    assert q.places() == {}
    finals = Counter(
        outcome
        for actor in actors
        for job, outcome in actor.accepted
        if outcome in ("succeeded", "discard", "cancelled")
    )
    assert finals["succeeded"] > 50
    batches = Counter((row["status"], row["pending"]) for row in q("batch_list", max=1000))
    assert {"failed", "aborted"} == {status for status, _ in batches}  # nobody here says a word of any row
    assert {pending for _, pending in batches} == {0}
    once = Counter(
        job for actor in actors for job, outcome in actor.accepted if outcome in ("succeeded", "discard", "cancelled")
    )
    assert set(once.values()) == {1}  # no job had two final outcomes accepted

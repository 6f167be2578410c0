"""Random histories over all limits together: sessions that hold claims open, workers lost, clocks moved, settings
changed meanwhile.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta

import psycopg
import pytest

from tests.sql.calls import Caller, Row
from tests.sql.test_histories import STANDING
from tests.support.seeds import seeds

Session = Callable[[], Caller]
START = datetime.fromisoformat("2030-01-01 12:00:00+00")

# One queue for each way in which limits meet. A rate and its period stay what they are: while one is high, more is
# admitted than a lower one would let start.
QUEUES: dict[str, dict[str, object]] = {
    "rate": {"rate_limit": 5, "rate_period": 10, "max_running": 8},
    "groups": {"group_limit": 2, "group_rate_limit": 3, "group_rate_period": 20},
    "fair": {"fair": True, "group_limit": 3, "rate_limit": 20, "rate_period": 10, "max_queued": 60},
    "strict": {"group_limit": 1, "group_order": "strict", "group_failure": "block", "max_running": 3},
    "all": {
        "fair": True,
        "group_limit": 1,
        "group_order": "strict",
        "group_failure": "block",
        "max_running": 4,
        "rate_limit": 6,
        "rate_period": 10,
        "group_rate_limit": 2,
        "group_rate_period": 15,
        "ageing": 30,
    },
}
CHANGES: list[tuple[str, dict[str, object]]] = [
    ("rate", {"max_running": 2}),
    ("rate", {"max_running": 8}),
    ("rate", {"max_running": None}),
    ("groups", {"group_limit": 1}),
    ("groups", {"group_limit": None}),
    ("groups", {"group_limit": 2}),
    ("groups", {"fair": True}),
    ("groups", {"fair": None}),
    ("fair", {"fair": False}),
    ("fair", {"fair": True}),
    ("fair", {"group_limit": None}),
    ("fair", {"group_limit": 3}),
    ("strict", {"group_failure": "release"}),
    ("strict", {"group_failure": "block"}),
    ("strict", {"max_running": 1}),
    ("strict", {"max_running": 3}),
    ("all", {"fair": None}),
    ("all", {"fair": True}),
]

LOOSE = """
  select 'slot of a job that is nowhere', s.job_id from pgqueue.slot s
  where s.state in (0, 1) and s.job_id not in (
    select job_id from pgqueue.ready
    union select job_id from pgqueue.suspect
    union select j from pgqueue.lease, unnest(job_ids) j)
  union all
  select 'kept for a job that does not wait', s.job_id from pgqueue.slot s
  where s.state = 2 and s.job_id not in (select job_id from pgqueue.scheduled)
  union all
  select 'blocked by a job that has not failed', s.job_id from pgqueue.slot s
  where s.state = 3 and s.job_id not in (select job_id from pgqueue.outcome where state = 'failed')
  union all
  select 'returning and not blocked', s.job_id from pgqueue.slot s
  where s.state = 4 and s.job_id not in (select job_id from pgqueue.blocked)
  union all
  select 'admitted without a slot', r.job_id
  from (select job_id, traits from pgqueue.ready union all select job_id, traits from pgqueue.suspect) r
  where r.traits & 2 <> 0 and r.job_id not in (select job_id from pgqueue.slot)
  union all
  select 'runs without a slot', j from pgqueue.lease, unnest(job_ids, traits) e(j, t)
  where t & 2 <> 0 and j not in (select job_id from pgqueue.slot)"""


class History:
    """What has happened, as the limits count it."""

    def __init__(self, q: Caller, sessions: list[Caller], seed: int) -> None:
        self.q, self.sessions, self.random = q, sessions, random.Random(seed)
        self.now = START
        self.settings = {queue: dict(settings) for queue, settings in QUEUES.items()}
        self.workers = [q.worker(*QUEUES) for _ in sessions]
        self.held: list[list[Row]] = [[] for _ in sessions]
        self.starts: dict[tuple[str, str | None], list[datetime]] = defaultdict(list)
        self.order: dict[tuple[str, str], list[int]] = defaultdict(list)
        self.done = 0
        self.tick(0)

    def tick(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        for caller in [self.q, *self.sessions]:
            caller.clock(str(self.now))
        # No worker is lost but by `lose`.
        self.q.sql("update pgqueue.worker set heartbeat_at = %s", self.now)

    def running(self) -> Counter[tuple[str, str | None]]:
        rows = self.q.sql(
            "select l.queue, j.group_key, count(*) from pgqueue.lease l, unnest(l.job_ids) e(id), pgqueue.job j"
            " where j.id = e.id group by grouping sets ((l.queue, j.group_key), (l.queue))"
        )
        found: Counter[tuple[str, str | None]] = Counter()
        for queue, group, n in rows:
            found[queue, group] = max(n, found[queue, group])  # of the whole queue, and of what has no group
        return found

    def enqueue(self) -> None:
        pick = self.random
        for _ in range(pick.randrange(1, 12)):
            queue = pick.choice(list(QUEUES))
            try:
                self.q.enqueue(
                    queue=queue,
                    group_key=pick.choice("abcd") if queue != "rate" else pick.choice([None, "a"]),
                    max_attempts=pick.choice([1, 3]),
                    backoff={"base": pick.choice([0, 5])},
                    priority=pick.choice([0, 0, 3]) if queue in ("rate", "groups", "fair") else 0,
                )
            except psycopg.Error as error:
                if (error.sqlstate, queue) != ("PQ008", "fair"):
                    raise

    def claim(self) -> None:
        """One session claims and stays open; the other claims meanwhile, where it need not wait."""
        before = self.running()
        me = self.random.randrange(2)
        first, second = self.sessions[me], self.sessions[1 - me]
        taken: dict[int, list[Row]] = {}
        with first.connection.transaction():
            taken[me] = first.claim(self.workers[me], self.random.choice([1, 3, 20]), list(QUEUES))
            if self.random.random() < 0.5:
                try:
                    with second.connection.transaction():
                        second.sql("set local lock_timeout = '30ms'")
                        queues = self.random.choice([list(QUEUES), ["groups"]])
                        taken[1 - me] = second.claim(self.workers[1 - me], 20, queues)
                except psycopg.errors.LockNotAvailable:
                    pass
        after = self.running()
        for who, jobs in taken.items():
            self.held[who] += jobs
            for job in jobs:
                self.starts[job["queue"], None].append(self.now)
                if job["group_key"]:
                    self.starts[job["queue"], job["group_key"]].append(self.now)
        self.check(before, after)

    def check(self, before: Counter[tuple[str, str | None]], after: Counter[tuple[str, str | None]]) -> None:
        for (queue, group), n in after.items():
            settings = self.settings[queue]
            limit, rate, period = (
                (settings.get(name) for name in ("max_running", "rate_limit", "rate_period"))
                if group is None
                else (settings.get(name) for name in ("group_limit", "group_rate_limit", "group_rate_period"))
            )
            if limit is not None:
                assert n <= max(limit, before[queue, group]), (queue, group)  # type: ignore[call-overload]
            if rate is not None:
                since = self.now - timedelta(seconds=period)  # type: ignore[arg-type]
                assert sum(start > since for start in self.starts[queue, group]) <= rate, (queue, group)  # type: ignore[operator]
        strict = self.q.sql(
            "select queue, group_key from pgqueue.slot where queue in ('strict', 'all') group by 1, 2"
            " having count(*) > 1"
        )
        assert strict == []

    def settle(self) -> None:
        for who, caller in enumerate(self.sessions):
            self.random.shuffle(self.held[who])
            n = self.random.randrange(len(self.held[who]) + 1)
            jobs, self.held[who] = self.held[who][:n], self.held[who][n:]
            outcomes = ["succeeded"] * 5 + ["failed", "retry", "snooze", "release", "discard", "cancelled"]
            outcome = self.random.choice(outcomes)
            assert caller.settle(jobs, outcome, **({"delay": 7} if outcome in ("retry", "snooze") else {})) == []

    def lose(self) -> None:
        who = self.random.randrange(2)
        self.q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01' where id = %s", self.workers[who])
        self.q("maintain", duties=["rescue"])
        self.workers[who], self.held[who] = self.q.worker(*QUEUES), []

    def change(self) -> None:
        queue, settings = self.random.choice(CHANGES)
        self.q("configure_queue", queue=queue, settings=settings)
        self.settings[queue] |= settings

    def decide(self) -> None:
        """What an operator does with jobs and groups."""
        pick = self.random
        running = {job["id"] for jobs in self.held for job in jobs}
        jobs = [job for job in self.q("jobs", max=60) if job["id"] not in running]
        for job in pick.sample(jobs, min(4, len(jobs))):
            if job["state"] == "failed" and pick.random() < 0.7:
                self.q("retry", id=job["id"])
            elif job["state"] in ("queued", "held", "scheduled"):
                what = pick.randrange(3)
                if what == 0:
                    self.q("cancel", id=job["id"])
                elif what == 1:
                    self.q("set_priority", id=job["id"], priority=job["priority"])
                else:
                    self.q("reschedule", id=job["id"], run_at=self.now + timedelta(seconds=pick.choice([0, 5])))
        for queue in ("strict", "all"):
            for row in self.q("groups", queue=queue):
                if row["blocked_by"] and pick.random() < 0.3:
                    assert self.q.value("unblock_group", queue=queue, group_key=row["group_key"])
        if pick.random() < 0.3:
            weight = {"weight": pick.choice([3, None])}
            self.q("configure_group", queue="fair", group_key=pick.choice("abcd"), settings=weight)

    def maintain(self) -> None:
        assert [row for row in self.q("maintain") if row["error"]] == []

    def run(self, steps: int) -> None:
        actions = [self.enqueue, self.claim, self.settle, self.lose, self.change, self.decide, self.maintain]
        for _ in range(steps):
            self.random.choices(actions, weights=[2, 6, 5, 0.3, 0.7, 1, 1])[0]()
            if self.random.random() < 0.5:
                self.tick(self.random.choice([0.1, 1, 4]))

    def finish(self) -> None:
        """Whatever waits comes to its turn, when time goes on."""
        for queue in ("strict", "all"):
            self.q("configure_queue", queue=queue, settings={"group_failure": "release"})
        for _ in range(2000):
            for who, caller in enumerate(self.sessions):
                self.held[who] += caller.claim(self.workers[who], 50, list(QUEUES))
                assert caller.settle(self.held[who]) == []
                self.held[who] = []
            self.tick(5)
            self.maintain()
            if not self.q.sql("select id from pgqueue.job except select job_id from pgqueue.outcome"):
                return
        raise AssertionError(f"still there: {self.q.places()}")


@pytest.mark.parametrize("seed", seeds(range(1, 5)))
def test_limits_hold_and_nobody_is_forgotten(q: Caller, session: Session, seed: int) -> None:
    q("configure", settings={"max_crashes": 100})
    for queue, settings in QUEUES.items():
        q("configure_queue", queue=queue, settings=settings)
    history = History(q, [session(), session()], seed)
    for _ in range(5):
        history.run(40)
        assert q.sql(STANDING) == []
        assert q.sql(LOOSE) == []
    assert len(history.starts["all", None]) > 10
    history.finish()
    assert q.sql(STANDING) == []
    assert {place: n for place, n in q.places().items() if place not in ("arrival", "cancel_request")} == {}

"""A machine that does everything to the queue at random, over several sessions of one thread, and knows what may not.

The model keeps what the database forgets: when each job was started and under which settings, who was retried or had
its arguments replaced, what a transaction that is still open would add. Two sessions hold transactions open across
rules: `user` enqueues in one, `taker` claims in one. What would have to wait for them gives up (lock_timeout) and has
no effect; settle and upkeep must never have to.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar

import psycopg
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from psycopg.types.json import Jsonb

from tests.sql.calls import Caller, Row
from tests.sql.flow_rules import BORN, FORGOTTEN, blocks_nobody, broken_rules, live_apart_from, started_badly
from tests.support.cluster import Database

NOON = datetime.fromisoformat("2030-01-01 12:00:00+00")
QUEUES = ["a", "b", "c"]
ALL = [*QUEUES, "dead", "next"]
PERIOD = 100
REFUSED = ("PQ002", "PQ005", "PQ008", "55P03")

small = range(51)
group = "xy"
# What an element has beside its queue, how often, and of which values.
OPTIONS: list[tuple[str, float, list[Any]]] = [
    ("priority", 0.2, [0, 5]),
    ("delay", 0.15, [5, 60]),
    ("group_key", 0.6, ["x", "y"]),
    ("expires_in", 0.15, [8, 40]),
    ("unique", 0.3, ["return", "start", "period", "replace", "debounce", "raise"]),
    ("on_parent_failure", 0.6, ["cancel", "run", "wait"]),
    ("on_success", 0.25, [{"kind": "good", "queue": "next", "pass_as": "got"}]),
    ("on_error", 0.25, [[{"kind": "bad", "queue": "next", "pass_as": "why"}]]),
]


def elements(pick: random.Random) -> list[dict[str, Any]]:
    made = []
    for _ in range(pick.randrange(1, 7)):
        job = {name: pick.choice(values) for name, chance, values in OPTIONS if pick.random() < chance}
        if pick.random() < 0.3:
            job["parents"] = [pick.choice(small) for _ in range(pick.choice([1, 2]))]
        backoff: dict[str, int] = pick.choice([{"base": 0}, {"base": 10, "jitter": 0}])
        made.append({"queue": pick.choice(QUEUES), "max_attempts": pick.choice([1, 2]), "backoff": backoff, **job})
    return made


SETTINGS: list[dict[str, Any]] = [
    *({"max_running": n} for n in (None, None, 1, 3)),
    *({"rate_limit": n, "rate_period": 20} for n in (None, None, 2, 5)),
    *({"group_limit": n} for n in (None, 1, 1, 2)),
    *({"group_rate_limit": n, "group_rate_period": p} for n, p in ((None, None), (1, 20), (2, 50), (2, 5))),
    *({"fair": flag} for flag in (None, True)),
    *({"group_order": order} for order in ("free", "strict", "strict")),
    *({"group_failure": way} for way in ("release", "block")),
    *({"max_queued": n} for n in (None, None, 6)),
    *({"ageing": n} for n in (None, 30)),
    *({"history": kept} for kept in ("all", "all", "failed", "none")),
]
# What a bug needs to show is seldom there by chance, one setting at a time.
TOGETHER: list[dict[str, Any]] = [
    {"group_limit": 1, "max_running": 2},
    {"group_limit": 1, "group_order": "strict"},
    {"group_limit": 1, "group_order": "strict", "group_failure": "block", "max_queued": 6},
    {"group_limit": 1, "group_order": "strict", "group_rate_limit": 5, "group_rate_period": 20},
    {"group_limit": 3, "group_rate_limit": 2, "group_rate_period": 50},
    {"rate_limit": 3, "rate_period": 20, "max_queued": 6},
    {"fair": True, "max_running": 3},
]
GROUP_SETTINGS: list[dict[str, Any]] = [
    {"weight": 2},
    {"weight": None},
    {"group_limit": 1},
    {"group_limit": None},
    {"rate_limit": 1, "rate_period": 30},
    {"rate_limit": None},
]


def quiet(caller: Caller) -> None:
    """Tables that are believed to be large and hold next to nothing need no parallel workers nor compiled queries."""
    caller.sql("set client_min_messages = error; set jit = off; set max_parallel_workers_per_gather = 0")


ACTIONS: dict[str, dict[str, Any]] = {}
WEIGHTED: list[str] = []
# After these the machine forgets what it knew of limits, or of jobs. In half of the histories they are rare.
UNSETTLING = {"change", "change_many", "configure", "configure_group", "unblock", "pause", "lose_worker"}
_F = TypeVar("_F", bound=Callable[..., None])


def action(weight: int = 1, **given: Any) -> Callable[[_F], _F]:
    """What may be done, how often, and with which arguments: a choice of values, or a function that makes one."""

    def noted(function: _F) -> _F:
        ACTIONS[function.__name__] = given
        WEIGHTED.extend([function.__name__] * weight)
        return function

    return noted


class World:
    """The database of all examples, and its sessions. Each example begins with empty tables."""

    def __init__(self, database: Database) -> None:
        self.q, self.user, self.taker = (Caller(database.connect()) for _ in range(3))
        self.tables = [
            name
            for (name,) in self.q.sql(
                """select c.relname from pg_class c
                   where c.relnamespace = 'pgqueue'::regnamespace and c.relkind in ('r', 'p')
                     and not c.relispartition"""
            )
            if not self.q.sql(f"select 1 from pgqueue.{name} limit 1")
        ]
        self.q.sql(BORN)
        self.examples = self.steps = self.starts = self.jobs = 0

    def reset(self) -> None:
        for caller in (self.user, self.taker):
            caller.sql("rollback")
        self.q.sql(f"truncate {', '.join(f'pgqueue.{name}' for name in self.tables)}, public.born")
        self.q.sql("delete from pgqueue.queue where name <> 'scripts'")
        for caller in (self.q, self.user, self.taker):
            caller.sql("reset all")
            quiet(caller)
            caller.sql("set lock_timeout = '40ms'")
        self.q("configure", settings={"lost_after": "10 years", "max_crashes": 3})
        self.examples += 1


class Machine(RuleBasedStateMachine):
    world: World

    def __init__(self) -> None:
        super().__init__()
        self.world.reset()
        self.q, self.user, self.taker = self.world.q, self.world.user, self.world.taker
        self.now = NOON
        self.set_clock()
        self.workers = {caller: caller.worker(*ALL) for caller in (self.q, self.taker)}
        self.jobs: list[int] = []
        self.fresh: list[tuple[int, dict[str, Any]]] = []  # of the user's open transaction
        self.plain: dict[int, int] = {}  # the step in which a job that nothing but its group holds up was committed
        self.held: list[Row] = []
        self.taken: list[Row] = []  # of the taker's open transaction
        self.open: set[Caller] = set()
        self.starts: list[tuple[datetime, str, str | None, int]] = []
        self.since: dict[str, int] = defaultdict(int)  # how many starts there were when a queue's settings were changed
        self.caps: dict[tuple[str, str], int] = {}
        self.admitted: dict[str, set[int]] = defaultdict(set)  # before its settings were changed
        self.touched: set[int] = set()  # retried, moved, rescheduled, replaced or given another priority
        self.retried: set[int] = set()
        self.begun: dict[int, str] = {}  # jobs that have been started and have not ended, and their queue
        self.periods: dict[tuple[str, str], datetime] = {}
        self.late = False  # whether a transaction has been open while others went on
        self.step = 0
        self.weighted = WEIGHTED

    @rule(pick=st.randoms(use_true_random=False))
    def act(self, pick: random.Random) -> None:
        self.act_at_random(pick, note)

    def act_at_random(self, pick: random.Random, tell: Callable[[str], None]) -> None:
        name = pick.choice(self.weighted)
        given = {key: make(pick) if callable(make) else pick.choice(make) for key, make in ACTIONS[name].items()}
        tell(f"{name} {given}")
        getattr(self, name)(**given)

    def set_clock(self) -> None:
        for caller in (self.q, self.user, self.taker):
            caller.clock(str(self.now))

    @contextmanager
    def patient(self, caller: Caller | None = None) -> Iterator[None]:
        """What is refused, or would have to wait for an open transaction, has no effect."""
        try:
            with (caller or self.q).connection.transaction():
                yield
        except psycopg.Error as error:
            if error.sqlstate not in REFUSED:
                raise

    def begin(self, caller: Caller) -> None:
        if caller not in self.open:
            caller.sql("begin")
            self.open.add(caller)
            self.late = True

    def job(self, at: int) -> int | None:
        return self.jobs[-1 - at % len(self.jobs)] if self.jobs else None

    @initialize(pick=st.randoms(use_true_random=False))
    def begin_with_settings(self, pick: random.Random) -> None:
        self.begin_at_random(pick)

    def begin_at_random(self, pick: random.Random, steady: bool | None = None) -> None:
        self.q("configure_queue", queue="a", settings={"dead_letter_queue": "dead"})
        steady = pick.random() < 0.5 if steady is None else steady
        if steady:
            for name in QUEUES:
                self.q("configure_queue", queue=name, settings=pick.choice(TOGETHER))
        for _ in range(pick.randrange(4 if steady else 10)):
            self.q("configure_queue", queue=pick.choice(QUEUES), settings=pick.choice(SETTINGS))
        if steady:
            for _ in range(pick.randrange(3)):
                settings = pick.choice(GROUP_SETTINGS)
                self.q("configure_group", queue=pick.choice(QUEUES), group_key=pick.choice(group), settings=settings)
            self.weighted = [name for name in WEIGHTED for _ in range(1 if name in UNSETTLING else 4)]
            for _ in range(3):
                self.enqueue(elements(pick), pick.random() < 0.5, 1)

    # What users do.

    def wanted(self, given: dict[str, Any], nth: int | None = None) -> dict[str, Any]:
        job = {"kind": "k", **given}
        way = job.pop("unique", None)
        if way:
            job["unique_key"] = way
            ways: dict[str, dict[str, Any]] = {"start": {"unique_until": "start"}, "period": {"unique_for": PERIOD}}
            job |= ways.get(way, {})
            if way in ("replace", "debounce", "raise"):
                job["on_duplicate"] = way
        named = [str(p % nth) for p in job.pop("parents", []) if nth] if nth is not None else []
        parents = [] if nth is not None else [self.job(p) for p in given.get("parents", []) if self.job(p)]
        job.pop("parents", None)
        if parents or named:
            job["depends_on"] = [*dict.fromkeys(parents or named)]
        else:
            job.pop("on_parent_failure", None)
        if nth is not None:
            job["ref"] = str(nth)
        return job

    @action(5, given=elements, graph=[True, False], held=range(5))
    def enqueue(self, given: list[dict[str, Any]], graph: bool, held: int) -> None:
        caller = self.user if held == 0 else self.q
        if caller is self.user:
            self.begin(caller)
        jobs = [self.wanted(job, n if graph else None) for n, job in enumerate(given)]
        with self.patient(caller):
            rows = caller("enqueue_many", jobs=Jsonb(jobs))
            made = [(row["id"], job) for row, job in zip(rows, jobs, strict=True) if row["created"]]
            if caller is self.user:
                self.fresh += made
            else:
                self.committed(made)
            self.touched |= {row["id"] for row in rows if not row["created"]}
            for name in {job["queue"] for job in jobs}:
                self.check_room(caller, name, {id for id, _ in made})

    def check_room(self, caller: Caller, name: str, made: set[int]) -> None:
        ((most, waiting, mine),) = caller.sql(
            """select q.max_queued, count(*), count(*) filter (where w.id = any(%s)) from pgqueue.queue q
               join (select queue, job_id as id from pgqueue.ready union all select queue, job_id from pgqueue.blocked
                 union all select queue, job_id from pgqueue.arrival where job_id is not null
                 union all select queue, job_id from pgqueue.suspect) w on w.queue = q.name
               where q.name = %s group by 1""",
            list(made),
            name,
        ) or [(None, 0, 0)]
        if most is None or not mine or waiting <= most:
            return
        # A session counts from where its last claim stopped: not what was committed late, or is just being claimed.
        assert self.late and caller.value("_queued", queue=name, most=most + 1) <= most, (name, most, waiting)

    def committed(self, made: list[tuple[int, dict[str, Any]]]) -> None:
        for id, job in made:
            self.jobs.append(id)
            if job.get("unique_for"):
                key = (job["queue"], job["unique_key"])
                last = self.periods.get(key)
                assert last is None or self.now >= last + timedelta(seconds=PERIOD) or self.open, key
                self.periods[key] = self.now
            if not {"delay", "depends_on", "priority", "unique_key", "expires_in"} & set(job):
                self.plain[id] = self.step

    @action(3, at=small, what=["cancel", "retry", "now", "later", "priority", "edit"])
    def change(self, at: int, what: str) -> None:
        if (job := self.job(at)) is None:
            return
        with self.patient():
            match what:
                case "cancel":
                    self.q("cancel", id=job)
                case "retry":
                    self.q("retry", id=job)
                    self.begun.pop(job, None)
                    self.retried.add(job)
                case "now" | "later":
                    self.q(
                        "reschedule", id=job, run_at=str(self.now + timedelta(seconds=30 if what == "later" else -1))
                    )
                case "priority":
                    self.q("set_priority", id=job, priority=7)
                case "edit":
                    self.q("edit_job", id=job, args={"edited": self.step})
            if what not in ("edit", "cancel"):
                self.touched.add(job)

    @action(0, name=QUEUES, policy=["cancel", "cancel", "run", "wait"])
    def family(self, name: str, policy: str) -> None:
        """Three generations, of which the first is cancelled."""
        one: dict[str, Any] = {"queue": name, "max_attempts": 1, "backoff": {"base": 0}, "on_parent_failure": policy}
        self.enqueue([one, {**one, "parents": [0]}, {**one, "parents": [1]}], True, 1)
        self.change(2, "cancel")

    @action(0, name=QUEUES, n=[2, 4], key=["x", None])
    def fill(self, name: str, n: int, key: str | None) -> None:
        """More than may wait in a queue, if it is done twice."""
        one: dict[str, Any] = {"queue": name, "max_attempts": 1, **({"group_key": key} if key else {})}
        self.configure(name, {"max_queued": 6})
        self.enqueue([one] * n, False, 1)

    @action(2, at=small)
    def retry_failed(self, at: int) -> None:
        failed = [job for (job,) in self.q.sql("select job_id from pgqueue.outcome where state = 'failed' order by 1")]
        if not failed:
            return
        job = failed[at % len(failed)]
        with self.patient():
            self.q("retry", id=job)
            self.begun.pop(job, None)
            self.retried.add(job)
            self.touched.add(job)

    @action(2, name=QUEUES, to=QUEUES, what=["cancel", "retry", "move", "priority", "delete"], at=small)
    def change_many(self, name: str, to: str, what: str, at: int) -> None:
        few = [job for job in (self.job(at + n) for n in range(4)) if job]
        filter = {"queue": name, "ids": few}
        named = {
            row[0] for row in self.q.sql("select id from pgqueue.job where id = any(%s) and queue = %s", few, name)
        }
        match what:
            case "cancel":
                self.q("cancel_jobs", filter=filter)
            case "retry":
                again = [
                    id for (id,) in self.q.sql("select job_id from pgqueue.outcome where job_id = any(%s)", list(named))
                ]
                self.q(
                    "retry_jobs", filter=filter, **({"rate_limit": 1, "rate_period": "10 seconds"} if at % 2 else {})
                )
                self.retried |= set(again)
            case "move":
                self.q("move_jobs", filter=filter, queue=to)
            case "priority":
                self.q("set_priority_of_jobs", filter=filter, priority=3)
            case "delete":
                self.q("delete_jobs", filter=filter)
        if what in ("retry", "move", "priority"):
            self.touched |= named
            for job in named:
                self.begun.pop(job, None)

    # What workers do.

    @action(6, n=range(1, 11), held=range(5), few=[[], [], [], ["a"], ["b", "c"]])
    def claim(self, n: int, held: int, few: list[str]) -> None:
        caller = self.taker if held == 0 else self.q
        if caller is self.taker:
            self.begin(caller)
        with self.patient(caller):
            rows = caller.claim(self.workers[caller], n, few or ALL)
            self.check_claim(caller, rows)
            if caller is self.taker:
                self.taken += rows
            else:
                self.held += rows
            self.starts += [(self.now, row["queue"], row["group_key"], row["id"]) for row in rows]
            self.begun |= {row["id"]: row["queue"] for row in rows}
            self.world.starts += len(rows)

    def check_claim(self, caller: Caller, rows: list[Row]) -> None:
        if not rows:
            return
        ids = [row["id"] for row in rows]
        assert (bad := started_badly(caller, ids, [*self.retried])) == [], bad
        earlier = self.starts + [(self.now, row["queue"], row["group_key"], row["id"]) for row in rows]
        for name in {row["queue"] for row in rows}:
            settings = self.settings(caller, name)
            since = [start for start in earlier[self.since[name] :] if start[1] == name]
            self.check_rate(since, settings["rate_limit"], settings["rate_period"], name)
            for key in {row["group_key"] for row in rows if row["queue"] == name and row["group_key"]}:
                own = settings["groups"].get(key, {})
                of_group = [s for s in since if s[2] == key and s[3] not in self.admitted[name]]
                self.check_rate(
                    of_group,
                    own.get("rate_limit") or settings["group_rate_limit"],
                    own.get("rate_period") or settings["group_rate_period"] or 1,
                    (name, key),
                )
            if settings["group_order"] == "strict" and settings["group_limit"] == 1 and not settings["own_groups"]:
                self.check_order(caller, [row for row in rows if row["queue"] == name and row["group_key"]], settings)

    def check_rate(
        self, starts: list[tuple[datetime, str, str | None, int]], limit: int | None, period: float | None, what: Any
    ) -> None:
        if limit is not None:
            window = [s for s in starts if s[0] > self.now - timedelta(seconds=period or 1)]
            assert len(window) <= limit, (what, limit, window)

    def check_order(self, caller: Caller, rows: list[Row], settings: dict[str, Any]) -> None:
        """Strict, one at a time: nobody starts while another of its key has begun, nor before an earlier one."""
        for row in rows:
            begun = [
                j for j, name in self.begun.items() if name == row["queue"] and j != row["id"] and j not in self.touched
            ]
            others = live_apart_from(caller, row, begun)
            assert others == [], (row["id"], others)
            if (
                row["id"] in self.plain
                and row["id"] not in self.touched
                and row["attempt"] == 1
                and row["crashes"] == 0
            ):
                before = [
                    j
                    for j, step in self.plain.items()
                    if j < row["id"] and step < self.plain[row["id"]] and j not in self.touched and j not in self.begun
                ]
                assert (waits := live_apart_from(caller, row, before)) == [], (row["id"], waits)

    def settings(self, caller: Caller, name: str) -> dict[str, Any]:
        found = caller.sql(
            """select max_running, rate_limit, extract(epoch from rate_period)::float, group_limit, group_rate_limit,
                 extract(epoch from group_rate_period)::float, group_order, own_groups
               from pgqueue.queue where name = %s""",
            name,
        ) or [(None,) * 8]
        names = (
            "max_running rate_limit rate_period group_limit group_rate_limit group_rate_period group_order own_groups"
        )
        result = dict(zip(names.split(), found[0], strict=True))
        own = caller.sql(
            """select group_key, group_limit, rate_limit, extract(epoch from rate_period)::float
               from pgqueue.group_setting where queue = %s""",
            name,
        )
        result["groups"] = {key: {"group_limit": m, "rate_limit": r, "rate_period": p} for key, m, r, p in own}
        return result

    @action(
        6,
        n=range(1, 7),
        outcome=[*["succeeded"] * 4, *["failed"] * 2, "retry", "snooze", "release", "discard", "cancelled", "timeout"],
        delay=[0, 15],
    )
    def settle(self, n: int, outcome: str, delay: int) -> None:
        now, self.held = self.held[:n], self.held[n:]
        if now:
            later = {"delay": delay} if outcome in ("retry", "snooze") else {}
            ids = [row["id"] for row in now]
            placed = [job for (job,) in self.q.sql("select job_id from pgqueue.slot where job_id = any(%s)", ids)]
            problems = {row["problem"] for row in self.q.settle(now, outcome, **later)}
            assert problems <= {"stale"}, problems
            assert (bad := blocks_nobody(self.q, placed) if placed else []) == [], bad

    @action(
        4,
        seconds=[0, 1, 10, 60],
        outcome=["succeeded", "succeeded", "failed", "retry", "discard"],
    )
    def work(self, seconds: int, outcome: str) -> None:
        """A worker that takes what there is, hands in most of it, and upkeep beside it."""
        self.tick(seconds)
        self.upkeep()
        self.claim(10, 1, [])
        self.settle(1, outcome, 15)
        self.settle(max(len(self.held) - 2, 1), "succeeded", 0)

    @action(taker=[True, False])
    def lose_worker(self, taker: bool) -> None:
        caller = self.taker if taker else self.q
        self.q.sql("update pgqueue.worker set heartbeat_at = '2000-01-01' where id = %s", self.workers[caller])
        self.upkeep()
        self.workers[caller] = self.q.worker(*ALL)

    # What operators and time do.

    @action(3, name=QUEUES, settings=SETTINGS)
    def configure(self, name: str, settings: dict[str, Any]) -> None:
        with self.patient():
            self.q("configure_queue", queue=name, settings=settings)
        self.noted(name)

    @action(name=QUEUES, key=group, settings=GROUP_SETTINGS)
    def configure_group(self, name: str, key: str, settings: dict[str, Any]) -> None:
        with self.patient():
            self.q("configure_group", queue=name, group_key=key, settings=settings)
        self.noted(name)

    def noted(self, name: str) -> None:
        """What was admitted under the settings before may start under them; limits count from here on."""
        self.since[name] = len(self.starts)
        for caller in (self.q, self.taker):
            self.admitted[name] |= {j for (j,) in caller.sql("select job_id from pgqueue.slot where queue = %s", name)}
        self.begun = {job: queue for job, queue in self.begun.items() if queue != name}
        self.plain = {job: step for job, step in self.plain.items() if job in self.begun}
        for caller in (self.q, self.taker):
            for queue, key, slots in self.slots(caller):
                self.caps[queue, key] = max(self.caps.get((queue, key), 0), slots if queue == name else 0)

    def slots(self, caller: Caller) -> list[tuple[str, str, int]]:
        return caller.sql("select queue, group_key, count(*) from pgqueue.slot where state in (0, 1) group by 1, 2")

    @action(0, name=QUEUES, key=group, commit=[True, True, False])
    def side_by_side(self, name: str, key: str, commit: bool) -> None:
        """Two sessions at one group: one's claim is not committed yet when the other's jobs come, end and start."""
        one: dict[str, Any] = {"queue": name, "group_key": key, "max_attempts": 1, "backoff": {"base": 0}}
        self.enqueue([one], False, 1)
        self.claim(10, 0, [name])
        self.enqueue([one], False, 1)
        self.settle(len(self.held) or 1, "succeeded", 0)
        if commit:
            self.claim(10, 1, [name])
        self.end_transaction(False, commit)

    @action(0, name=QUEUES, key=group, turns=[1, 2])
    def take_turns(self, name: str, key: str, turns: int) -> None:
        """A group with a weight, and more jobs of it than have a turn at a time."""
        one: dict[str, Any] = {"queue": name, "group_key": key, "max_attempts": 1, "backoff": {"base": 0}}
        self.configure(name, {"fair": True})
        self.configure_group(name, key, {"weight": turns})
        self.enqueue([one] * 4, False, 1)
        self.claim(1, 1, [name])

    @action(name=QUEUES, key=group)
    def unblock(self, name: str, key: str) -> None:
        with self.patient():
            self.q("unblock_group", queue=name, group_key=key)

    @action(name=QUEUES, pause=[True, False, False])
    def pause(self, name: str, pause: bool) -> None:
        self.q("pause_queue" if pause else "resume_queue", queue=name)

    @action(3, seconds=[1, 4, 10, 25, 60, 400])
    def tick(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        self.set_clock()

    @action(2)
    def upkeep(self) -> None:
        assert (bad := [row for row in self.q("maintain") if row["error"]]) == [], bad

    @action(2, user=[True, False], commit=[True, True, False])
    def end_transaction(self, user: bool, commit: bool) -> None:
        caller = self.user if user else self.taker
        if caller not in self.open:
            return
        caller.sql("commit" if commit else "rollback")
        self.open.discard(caller)
        self.set_clock()
        if user:
            self.committed(self.fresh if commit else [])
            self.fresh = []
            return
        gone = {row["id"] for row in self.taken} if not commit else set()
        self.held += self.taken if commit else []
        self.starts = [start for start in self.starts if start[3] not in gone]
        self.since = defaultdict(int, {name: min(n, len(self.starts)) for name, n in self.since.items()})
        self.begun = {job: name for job, name in self.begun.items() if job not in gone}
        self.taken = []

    @invariant()
    def books_balance(self) -> None:
        self.step += 1
        self.world.steps += 1
        assert (bad := broken_rules(self.q, [*self.retried])) == [], bad
        if not self.open:
            assert (waits := self.q.sql(FORGOTTEN, self.now)) == [], ("nobody looks", waits)
        limits = dict(self.q.sql("select name, group_limit from pgqueue.queue"))
        own = {
            (name, key): limit
            for name, key, limit in self.q.sql("select queue, group_key, group_limit from pgqueue.group_setting")
        }
        for name, key, slots in self.slots(self.q):
            limit, cap = own.get((name, key)) or limits.get(name), self.caps.get((name, key), 0)
            assert limit is None or slots <= max(limit, cap), (name, key, limit, cap, slots)
            if limit is not None:
                self.caps[name, key] = slots if slots > limit else 0
        running = dict(self.q.sql("select queue, sum(cardinality(job_ids))::int from pgqueue.lease group by 1"))
        for name, most in self.q.sql("select name, max_running from pgqueue.queue where max_running is not null"):
            allowed = self.caps.get((name, ""), 0)
            assert running.get(name, 0) <= max(most, allowed), (name, most, running)
        self.caps |= {(name, ""): running.get(name, 0) + len(self.taken) for name in QUEUES}

    def teardown(self) -> None:
        end(self)


def end(machine: Machine) -> None:
    """Everything is brought to its end, and nothing is left behind."""
    q = machine.q
    for user in (True, False):
        machine.end_transaction(user, commit=True)
    q.sql("reset all")
    quiet(q)
    for name in QUEUES:
        q("resume_queue", queue=name)
    rounds = 30 + 3 * q.sql("select count(*) from pgqueue.job")[0][0]
    machine.upkeep()
    _work(machine, rounds)
    machine.world.jobs += q.sql("select count(*) from pgqueue.job")[0][0]
    # What is left is held by a failed job, which blocks its group, or for whose retry others wait. `why` says so.
    for (job,) in q.sql("select job_id from pgqueue.blocked union select job_id from pgqueue.dependent"):
        words = q.value("why", id=job)
        assert any(word in words for word in ("has failed and blocks", "call pgqueue.retry", "is held", "forgotten")), (
            words
        )
    for name, key in q.sql("select distinct queue, group_key from pgqueue.slot where state = 3"):
        assert q.value("unblock_group", queue=name, group_key=key)
    _work(machine, rounds)
    waits = [job for (job,) in q.sql("select job_id from pgqueue.dependent")]
    if waits:
        q("cancel_jobs", filter={"ids": waits})
    _work(machine, rounds)
    machine.now += timedelta(days=1)
    machine.set_clock()
    q.sql("delete from pgqueue.slot where state = 3")  # those that have failed since
    for _ in range(3):
        machine.upkeep()
    left = {table: count for table, count in q.places().items() if table != "job_key"}
    assert left == {}, left
    for table in ("dependent", "parent_look", "deadline", "job_key"):
        assert q.sql(f"select * from pgqueue.{table}") == [], table
    machine.books_balance()


def _work(machine: Machine, rounds: int) -> None:
    q = machine.q
    for _ in range(rounds):
        machine.now += timedelta(seconds=70)
        machine.set_clock()
        q("maintain", duties=["promote", "dependents", "expire"])
        # Two claims: what one admits, another may find behind it.
        taken = [row for _ in range(2) for row in q.claim(machine.workers[q], 100, ALL)]
        machine.held += taken
        machine.settle(len(machine.held) or 1, "succeeded", 0)
        if not taken and not q.sql(
            "select 1 from pgqueue.scheduled union all select 1 from pgqueue.arrival "
            "union all select 1 from pgqueue.ready"
        ):
            return
    raise AssertionError(
        ("stuck", q.places(), q.sql("select * from pgqueue.ready"), q.sql("select * from pgqueue.scheduled"))
    )

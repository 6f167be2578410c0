"""Random work of several sessions over all rooms: jobs, queries, scripts, batches and slow queries, in flows."""

from __future__ import annotations

import random
import threading
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from tests.sql.batches import append, said, slow, submit
from tests.sql.calls import Caller, Row

QUEUES = ["default", "scripts", "queries", "app/op"]
ROOMS = ["job", "script", "query", "batch", "slow"]
# All but partitions, statistics and schedules, which no job here has to do with.
DUTIES = ["rescue", "promote", "expire", "dependents", "admit", "tidy", "results"]
# Where others were first: the job is gone (2), the worker is (3), the lease is (4), or it has moved on (5).
TOO_LATE = {"PQ002", "PQ003", "PQ004", "PQ005"}
OUTCOMES = ["succeeded", "succeeded", "discard", "failed", "cancelled", "release"]
SAID = ["succeeded", "succeeded", "failed", "later", "aborted"]
Action = Callable[[], object]


@dataclass
class World:
    """What the sessions of one history share. Threads only append to it, and replace whole entries."""

    workers: list[int]
    made: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    done: Counter[str] = field(default_factory=Counter)
    surprises: list[str] = field(default_factory=list)


def play(q: Caller, job: Row, pick: random.Random, good: bool = False) -> None:
    """A worker's part in one job; `good`: all of it succeeds."""
    kind = job["kind"]
    if kind.startswith("sql."):
        room, lease = kind.removeprefix("sql."), {"lease": job["lease"], "job": job["id"]}
        row = q.one(f"{room}_begin", **lease, backend_pid=1, backend_start="2026-01-01")
        if row["verdict"] is None:
            error = None if good or pick.random() < 0.7 else {"message": "no"}
            command = {"command": "SELECT 1"} if room == "query" else {}
            row = q.one(f"{room}_end", **lease, error=error, **command)
        named = {"result": row.get("result"), "error": row.get("failure")}
        q.settle([job], row["verdict"], **{name: value for name, value in named.items() if value is not None})
    elif kind in ("rows.slice", "rows.slow") and (good or pick.random() < 0.6):
        rows = [said(row, "succeeded" if good else pick.choice(SAID)) for row in job["args"]["rows"]]
        q.settle([job], result=rows)
    else:
        q.settle([job], "succeeded" if good else pick.choice(OUTCOMES))


class Session:
    """One of several: a user, an operator, a worker and upkeep at random, as `part` says."""

    def __init__(self, q: Caller, world: World, seed: int, part: str = "all") -> None:
        self.q, self.world, self.part = q, world, part
        self.random = random.Random(seed)
        self.held: list[Row] = []
        self.new: list[tuple[str, int]] = []
        # A call that is stuck, or stands in a circle, is to say so before anybody gives up.
        q.sql("set statement_timeout = '20s'")
        q.sql("set deadlock_timeout = '30ms'")

    def run(self, steps: int) -> None:
        parts: dict[str, dict[Action, float]] = {
            "all": {self.enqueue: 2, self.change: 3, self.work: 2, self.upkeep: 1, self.lose: 0.15},
            "work": {self.work: 1},
            "upkeep": {self.upkeep: 1, self.enqueue: 1, self.change: 1},
        }
        actions = parts[self.part]
        for _ in range(steps):
            self.step(self.random.choices([*actions], [*actions.values()])[0])

    def step(self, action: Action) -> None:
        """One action, or the first of a transaction that stays open for a while, and may be rolled back."""
        name, self.new = getattr(action, "__name__", "?"), []
        try:
            if action in (self.enqueue, self.change) and self.random.random() < 0.5:
                with self.q.connection.transaction(force_rollback=self.random.random() < 0.1) as transaction:
                    action()
                    for _ in range(self.random.randint(1, 2)):
                        self.beside()
                if transaction.force_rollback:
                    self.new = []
            else:
                action()
        except psycopg.Error as error:
            self.world.done[f"{name} {error.sqlstate}"] += 1
            if error.sqlstate not in TOO_LATE:
                self.world.surprises.append(f"{name}: {error.sqlstate} {error}\n{error.diag.context}")
            return
        for room, id_ in self.new:
            self.world.made[room].append(id_)
        self.world.done[name] += 1

    def beside(self) -> None:
        """What waits for nobody, whatever this transaction has locked: anything else, in the orders that come up here,
        would be a deadlock of the user's own making.
        """
        if self.random.random() < 0.5:
            self.q("jobs", max=5)
        else:
            self.new.append(("job", self.q.enqueue(**self.flow())))

    def one_of(self, *rooms: str) -> int:
        """One of the last in these rooms, now and then one that is gone; an id that nothing has where there is none."""
        ids = [id_ for room in rooms or ROOMS for id_ in self.world.made[room][-12:]]
        if self.random.random() < 0.95:
            there = (
                "select id from pgqueue.job where id = any(%s) union select id from pgqueue.batch where id = any(%s)"
            )
            ids = sorted(id_ for (id_,) in self.q.sql(there, ids, ids))
        return self.random.choice(ids) if ids else 1

    def flow(self) -> dict[str, Any]:
        pick = self.random
        options: dict[str, Any] = {}
        if pick.random() < 0.6:
            options["depends_on"] = sorted({self.one_of() for _ in range(pick.randint(1, 3))} - {1}) or None
            options["on_parent_failure"] = pick.choice(["cancel", "run", "wait", None])
        for end in ("on_success", "on_error"):
            if pick.random() < 0.3:
                options[end] = Jsonb({"kind": "after", "queue": "default"})
        return options

    def enqueue(self) -> None:
        q, pick, room = self.q, self.random, self.random.choice(ROOMS)
        flow, owner = self.flow(), self.random.choice("ab")
        if room == "job":
            id_ = q.enqueue(**flow, **({"group_key": pick.choice("xy")} if pick.random() < 0.3 else {}))
        elif room == "script":
            document = Jsonb({"query": ["select 1", "select 2"], "onerror": "select 3"})
            id_ = q.value("submit_script", document=document, owner=owner, **flow)
        elif room == "query":
            # Equal ones share a job: those that wait for nothing and nobody follows.
            options = flow if pick.random() < 0.5 else {}
            if pick.random() < 0.3:
                options["wait_timeout"] = pick.choice(["1 second", "50 ms"])
            id_ = q.one("submit_query", sql=f"select {pick.randint(1, 3)}", owner=owner, **options)["id"]
        elif room == "batch":
            id_ = submit(q, pick.randint(1, 6), slice_size=pick.randint(1, 3), hold=pick.random() < 0.4, **flow)
        else:
            id_ = slow(q, **flow)
        self.new.append((room, id_))

    def change(self) -> None:
        """What users and operators do to what is there."""
        self.random.choices(
            [self.cancel, self.in_room, self.in_bulk, self.touch, self.forget, self.history],
            weights=[3, 6, 3, 3, 0.4, 0.1],
        )[0]()

    def cancel(self) -> None:
        slices = self.q.sql("select job_id from pgqueue.batch_slice order by job_id desc limit 20")
        if slices and self.random.random() < 0.33:
            self.q("cancel", id=self.random.choice(slices)[0])
        else:
            self.q("cancel", id=self.one_of())

    def in_room(self) -> None:
        q, pick = self.q, self.random
        room, function = pick.choice(
            [
                ("script", "cancel_script"),
                ("query", "cancel_query"),
                ("batch", "batch_abort"),
                ("batch", "batch_release"),
                ("slow", "slow_query_abort"),
                ("batch", "batch_append"),
            ]
        )
        id_ = self.one_of(room)
        if function == "batch_append":
            append(q, id_, 2, hold=pick.random() < 0.5)
        elif function == "cancel_query":
            q(function, id=id_, as_owner=pick.choice([None, "a", "b"]))
        else:
            q(function, id=id_)

    def in_bulk(self) -> None:
        q, what = self.q, self.random.choice(["retry", "cancel", "move"])
        if what == "retry":
            q("retry_jobs", filter={"after_id": max(1, self.one_of() - 30)}, max=30)
        elif what == "cancel":
            q("cancel_jobs", filter={"after_id": max(1, self.one_of() - 5)}, max=5)
        else:
            ids = [self.one_of("job", "script", "query") for _ in range(3)]
            q("move_jobs", filter={"ids": ids}, queue=self.random.choice(QUEUES[:3]))

    def touch(self) -> None:
        q, what = self.q, self.random.choice(["retry", "priority", "edit"])
        if what == "retry":
            q("retry", id=self.one_of("job", "query"))
        elif what == "priority":
            q("set_priority", id=self.one_of(), priority=self.random.randint(0, 2))
        else:
            q("edit_job", id=self.one_of("job"), args={"a": self.random.randint(0, 5)})

    def forget(self) -> None:
        if self.random.random() < 0.5:
            self.q("delete_jobs", filter={"ids": [self.one_of() for _ in range(3)]})
        else:
            self.q("batch_purge", older_than="0")

    def history(self) -> None:
        kept = self.random.choice(["all", "all", "all", "failed", "none"])
        self.q("configure_queue", queue=self.random.choice(QUEUES), settings={"history": kept})

    def work(self) -> None:
        """What was claimed is in hand while others act on it, as it is in a worker."""
        if not self.held:
            worker = self.random.choice(self.world.workers)
            queues = self.random.sample(QUEUES, len(QUEUES))
            self.held = self.q.claim(worker, self.random.randint(1, 6), queues)
            self.random.shuffle(self.held)
            return
        now, self.held = self.held[:4], self.held[4:]
        for job in now:
            try:
                play(self.q, job, self.random)
            except psycopg.Error as error:
                if error.sqlstate not in TOO_LATE:
                    raise

    def lose(self) -> None:
        """A worker leaves with the jobs of all in hand, or is found dead; another comes."""
        place = self.random.randrange(len(self.world.workers))
        worker, self.world.workers[place] = self.world.workers[place], self.q.worker(*QUEUES)
        if self.random.random() < 0.5:
            self.q("deregister_worker", worker=worker)
        else:
            self.q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01' where id = %s", worker)

    def upkeep(self) -> None:
        for row in self.q("maintain", duties=DUTIES):
            if row["error"]:
                self.world.surprises.append(f"duty {row['duty']}: {row['error']}")


def side_by_side(sessions: list[Session], world: World, steps: int) -> None:
    """Each in a thread of its own, to their last step. What is no error of the database ends its session."""

    def run(session: Session) -> None:
        try:
            session.run(steps)
        except BaseException:
            world.surprises.append(traceback.format_exc())
            raise

    threads = [threading.Thread(target=run, args=[session]) for session in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

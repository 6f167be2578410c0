"""What belongs to queues and jobs, in every room that has jobs of its own kind: each feature either works there, or is
refused and says so. Features in rows, rooms in columns: `QUERY`, `SCRIPT`, `BATCH` (its slices), `SLOW`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.sql.batches import hand_in, said
from tests.sql.calls import Caller, Row
from tests.sql.support import refused

ERROR = {"message": "no such table", "sqlstate": "42P01"}
NOON = "2030-01-01 12:00:00+00"
LATER = "2030-01-01 12:30:00+00"


@dataclass(frozen=True)
class Thing:
    """`id`: what its submit returned; `job`: what a worker claims."""

    id: int
    job: int


@dataclass(frozen=True)
class Room:
    name: str
    queue: str
    submit: Callable[..., Thing]
    status: Callable[[Caller, Thing], str]
    end: Callable[[Caller, Row, bool], None]
    """A worker's part; whether it succeeds."""
    takes_turns: bool

    def __str__(self) -> str:
        return self.name

    def configure(self, q: Caller, **settings: Any) -> None:
        q("configure_queue", queue=self.queue, settings=settings)

    def claim(self, q: Caller, n: int = 100, queue: str | None = None) -> list[Row]:
        queue = queue or self.queue
        return q.claim(q.worker(queue), n, [queue])

    def run(self, q: Caller, thing: Thing, *, well: bool = True, queue: str | None = None) -> None:
        # The completion of rows is a task like any other, and another test's.
        (taken,) = [job for job in self.claim(q, queue=queue) if job["kind"] != "rows.done"]
        assert taken["id"] == thing.job
        self.end(q, taken, well)


def _query(q: Caller, n: int = 0, **more: Any) -> Thing:
    id = q.one("submit_query", sql=f"select {n}", **{"owner": f"owner {n}", **more})["id"]
    return Thing(id, id)


def _script(q: Caller, n: int = 0, **more: Any) -> Thing:
    id = q.value("submit_script", document=Jsonb(f"select {n}"), **{"owner": f"owner {n}", **more})
    return Thing(id, id)


def _rows(id: int, q: Caller) -> Thing:
    ((job,),) = q.sql("select job_id from pgqueue.batch_slice where batch_id = %s", id)
    return Thing(id, job)


def _batch(q: Caller, n: int = 0, **more: Any) -> Thing:
    rows = Jsonb([{"line": 1, "input": n}, {"line": 2, "input": n}])
    return _rows(q.value("batch_submit", app="app", op="op", rows=rows, **{"owner": f"owner {n}", **more}), q)


def _slow(q: Caller, n: int = 0, **more: Any) -> Thing:
    given = {"owner": f"owner {n}", **more}
    return _rows(q.value("slow_query_submit", app="app", op="slow", input=Jsonb(n), **given), q)


def _end_sql(q: Caller, job: Row, well: bool) -> None:
    room = job["kind"][4:]
    q(f"{room}_begin", lease=job["lease"], job=job["id"], backend_pid=1, backend_start="2026-01-01")
    row = q.one(f"{room}_end", lease=job["lease"], job=job["id"], error=None if well else ERROR)
    more = {name: row[own] for name, own in (("result", "result"), ("error", "failure")) if row[own] is not None}
    assert q.settle([job], row["verdict"], **more) == []


def _end_rows(q: Caller, job: Row, well: bool) -> None:
    hand_in(q, job, lambda row: said(row, "succeeded" if well else "failed"))


QUERY = Room(
    "query", "queries", _query, lambda q, t: str(q.one("query_status", id=t.id)["state"]), _end_sql, takes_turns=True
)
SCRIPT = Room(
    "script",
    "scripts",
    _script,
    lambda q, t: str(q.value("script_report", id=t.id)["status"]),
    _end_sql,
    takes_turns=True,
)
BATCH = Room(
    "batch", "app/op", _batch, lambda q, t: str(q.one("batch_status", id=t.id)["status"]), _end_rows, takes_turns=False
)
SLOW = Room(
    "slow",
    "app/slow",
    _slow,
    lambda q, t: str(q.one("slow_query_status", id=t.id)["status"]),
    _end_rows,
    takes_turns=False,
)
every_room = pytest.mark.parametrize("room", [QUERY, SCRIPT, BATCH, SLOW], ids=str)
rooms_of_sql = pytest.mark.parametrize("room", [QUERY, SCRIPT], ids=str)


def follow_ups(q: Caller) -> dict[str, Any]:
    return dict(q.sql("select kind, args from pgqueue.job where kind in ('good', 'bad')"))


@every_room
def test_max_running(q: Caller, room: Room) -> None:
    room.configure(q, max_running=1)
    things = [room.submit(q, n) for n in range(2)]
    (taken,) = room.claim(q)
    assert taken["id"] == things[0].job
    assert room.claim(q) == []
    assert "max_running is 1" in q.value("why", id=things[1].job)
    room.end(q, taken, True)
    room.run(q, things[1])


@every_room
def test_rate_limit(q: Caller, room: Room) -> None:
    room.configure(q, rate_limit=1, rate_period=60, max_running=None)
    q.clock(NOON)
    things = [room.submit(q, n) for n in range(2)]
    assert [job["id"] for job in room.claim(q)] == [things[0].job]
    assert room.claim(q) == []
    assert "starts at most 1 jobs in 00:01:00" in q.value("why", id=things[1].job)
    q.clock(LATER)
    assert [job["id"] for job in room.claim(q)] == [things[1].job]


@every_room
def test_group_limit(q: Caller, room: Room) -> None:
    """The group of a query or script is its owner; rows have none, and all of them run."""
    room.configure(q, group_limit=1, max_running=None)
    mine = [room.submit(q, n, owner="ada") for n in range(2)]
    other = room.submit(q, 2, owner="bob")
    taken = [job["id"] for job in room.claim(q)]
    assert taken == ([mine[0].job, other.job] if room.takes_turns else [thing.job for thing in (*mine, other)])


@every_room
def test_max_queued(q: Caller, room: Room) -> None:
    room.configure(q, max_queued=1)
    thing = room.submit(q, 0)
    with refused(q, "PQ008", f"queue {room.queue} is full"):
        room.submit(q, 1)
    assert room.status(q, thing) == "queued"
    room.claim(q)
    room.submit(q, 1)


def test_max_queued_does_not_count_what_is_held(q: Caller) -> None:
    """Nor does it stand in the way of its release."""
    BATCH.configure(q, max_queued=1)
    batches = [BATCH.submit(q, n, hold=True) for n in range(3)]
    for batch in batches:
        q("batch_release", id=batch.id)
    with refused(q, "PQ008"):
        BATCH.submit(q, 3)


@every_room
def test_a_dead_letter_queue_gets_nothing(q: Caller, room: Room) -> None:
    """What failed is found where it was handed in: a copy would belong to no query, script or batch."""
    room.configure(q, dead_letter_queue="dead")
    thing = room.submit(q)
    room.run(q, thing, well=False)
    assert room.status(q, thing) == "failed"
    assert q.sql("select count(*) from pgqueue.job where queue = 'dead'") == [(0,)]


@every_room
def test_retry(q: Caller, room: Room) -> None:
    thing = room.submit(q)
    room.run(q, thing, well=False)
    # Of rows it is they that fail, and are recorded; the job that carried them has done its part.
    filter = {"queue": room.queue, "kind": q.one("job", id=thing.job)["kind"]}
    step = q.one("retry_jobs", filter=filter)
    if room is QUERY:
        assert (step["done"], step["skipped"]) == (1, 0)
        assert room.status(q, thing) == "queued"
        room.run(q, thing)
        assert room.status(q, thing) == "succeeded"
        assert q.places() == {}
    else:
        assert (step["done"], step["skipped"]) == (0, 1 if room is SCRIPT else 0)
        with refused(q, "PQ005"):
            q("retry", id=thing.job)
        assert room.status(q, thing) == "failed"


@every_room
def test_retry_of_what_was_cancelled(q: Caller, room: Room) -> None:
    thing = room.submit(q)
    q("cancel", id=thing.job)
    step = q.one("retry_jobs", filter={"queue": room.queue, "state": "cancelled"})
    assert (step["done"], step["skipped"]) == ((1, 0) if room is QUERY else (0, 1))
    if room is QUERY:
        room.run(q, thing)
    else:
        with refused(q, "PQ005"):
            q("retry", id=thing.job)


@every_room
def test_move(q: Caller, room: Room) -> None:
    thing = room.submit(q)
    step = q.one("move_jobs", filter={"queue": room.queue}, queue="elsewhere")
    if room.takes_turns:
        assert (step["done"], step["skipped"]) == (1, 0)
        room.run(q, thing, queue="elsewhere")
    else:  # its queue is how a batch is known
        assert (step["done"], step["skipped"]) == (0, 1)
        room.run(q, thing)
    assert room.status(q, thing) == "succeeded"


@every_room
def test_edit_is_refused(q: Caller, room: Room) -> None:
    thing = room.submit(q)
    with refused(q, "PQ005", "is of kind"):
        q("edit_job", id=thing.job, args={"rows": []})


@every_room
@pytest.mark.parametrize("runs", [False, True])
def test_cancel(q: Caller, room: Room, runs: bool) -> None:
    thing = room.submit(q)
    taken = room.claim(q) if runs else []
    assert q.one("cancel_jobs", filter={"queue": room.queue}, why="enough")["done"] == 1
    if runs:
        q.settle(taken, "cancelled")
    assert room.status(q, thing) == ("cancelled" if room.takes_turns else "aborted")
    assert q.state(thing.job) == "cancelled"


@every_room
def test_delete_leaves_what_the_room_keeps(q: Caller, room: Room) -> None:
    thing = room.submit(q)
    room.run(q, thing)
    assert q.one("delete_jobs", filter={"queue": room.queue})["done"] >= 1
    assert q.sql("select count(*) from pgqueue.job where id = %s", thing.job) == [(0,)]
    assert room.status(q, thing) == "succeeded"


@every_room
def test_pause(q: Caller, room: Room) -> None:
    q("pause_queue", queue=room.queue)
    thing = room.submit(q)
    assert room.claim(q) == []
    assert "is paused" in q.value("why", id=thing.job)
    q("resume_queue", queue=room.queue)
    room.run(q, thing)


@every_room
def test_priority(q: Caller, room: Room) -> None:
    things = [room.submit(q, n, owner="ada", priority=priority) for n, priority in enumerate((0, 5, 0))]
    step = q.one("set_priority_of_jobs", filter={"ids": [things[2].job]}, priority=7)
    assert step["done"] == 1
    for thing in (things[2], things[1], things[0]):
        (taken,) = room.claim(q, 1)
        assert taken["id"] == thing.job
        room.end(q, taken, True) if room.takes_turns else None


@every_room
def test_ageing(q: Caller, room: Room) -> None:
    """Between owners it is not needed, they take turns; inside an owner priority decides, as inside any group."""
    room.configure(q, ageing="10 minutes")
    q.clock(NOON)
    old = room.submit(q, 0, owner="ada")
    room.submit(q, 1, owner="ada", priority=5)
    other = room.submit(q, 2, owner="bob")
    q.clock(LATER)
    assert [row["error"] for row in q("maintain", duties=["admit"])] == [None]
    priorities = q.sql("select job_id, priority from pgqueue.changed_priority order by 1")
    if room.takes_turns:
        assert priorities == []
        first, second = room.claim(q, 1), room.claim(q, 1)
        assert other.job in {job["id"] for job in first + second}
    else:
        assert priorities == [(old.job, 5), (other.job, 5)]


@every_room
@pytest.mark.parametrize("well", [True, False])
def test_as_a_parent(q: Caller, room: Room, well: bool) -> None:
    thing = room.submit(q)
    child = q.enqueue("child", queue="children", depends_on=[thing.id])
    assert q.state(child) == "held"
    assert str(thing.id) in q.value("why", id=child)
    room.run(q, thing, well=well)
    q("maintain", duties=["dependents"])
    assert q.state(child) == ("queued" if well else "cancelled")
    assert q.one("parents", id=child)["state"] == ("succeeded" if well else "failed")


@rooms_of_sql
def test_as_a_child(q: Caller, room: Room) -> None:
    parent = q.enqueue()
    thing = room.submit(q, depends_on=[parent])
    q("maintain", duties=["dependents"])
    assert room.claim(q) == []
    assert room.status(q, thing) == "held"
    q.settle(q.claim(q.worker()))
    room.run(q, thing)
    assert room.status(q, thing) == "succeeded"


@rooms_of_sql
@pytest.mark.parametrize("well", [True, False])
def test_follow_ups(q: Caller, room: Room, well: bool) -> None:
    follow = {"on_success": Jsonb({"kind": "good", "pass_as": "it"}), "on_error": Jsonb({"kind": "bad"})}
    thing = room.submit(q, **follow)
    room.run(q, thing, well=well)
    assert follow_ups(q) == ({"good": {"it": q.one("result", id=thing.job)["result"]}} if well else {"bad": {}})


@rooms_of_sql
def test_follow_ups_of_a_cancel(q: Caller, room: Room) -> None:
    thing = room.submit(q, on_error=Jsonb({"kind": "bad", "pass_as": "it"}))
    q("cancel_jobs", filter={"queue": room.queue})
    assert room.status(q, thing) == "cancelled"
    assert follow_ups(q) == {"bad": {"it": {"state": "cancelled", "reason": "cancelled_by_user", "error": None}}}

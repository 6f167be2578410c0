"""Features that meet: what each does alone is tested beside it, what they do together here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.sql.calls import Caller, Row
from tests.sql.test_flow_histories import FLOW
from tests.sql.test_histories import STANDING

EVENTS = (
    "job",
    "outcome",
    "attempt_error",
    "job_log",
    "job_event",
    "dependency",
    "dependent",
    "follow_up",
    "parent_look",
)


Session = Callable[[], Caller]


def at(q: Caller, seconds: int) -> None:
    q.clock(f"2030-01-01 12:{seconds // 60:02}:{seconds % 60:02}+00")


def configure(q: Caller, queue: str = "default", **settings: Any) -> None:
    q("configure_queue", queue=queue, settings=settings)


@pytest.fixture(autouse=True)
def patient(q: Caller) -> None:
    """Tests that turn the clock lose no worker by it."""
    q("configure", settings={"lost_after": "10 years"})


def many(q: Caller, *jobs: dict[str, Any]) -> list[int]:
    return [row["id"] for row in q("enqueue_many", jobs=Jsonb([{"kind": "k", **job} for job in jobs]))]


def ids(jobs: list[Row]) -> list[int]:
    return [job["id"] for job in jobs]


def upkeep(q: Caller) -> None:
    assert [row for row in q("maintain") if row["error"]] == []


def left(q: Caller) -> dict[str, int]:
    """What is left of jobs, in tables of every kind."""
    counts = {table: q.sql(f"select count(*) from pgqueue.{table}")[0][0] for table in EVENTS}
    return q.places() | {table: count for table, count in counts.items() if count}


def sound(q: Caller) -> None:
    q.sql("create temp table if not exists retried (id bigint)")
    assert q.sql(STANDING) == []
    assert q.sql(FLOW) == []


def test_a_deleted_job_leaves_nothing_behind(q: Caller) -> None:
    parent, child = many(
        q,
        {"ref": "p", "on_success": {"kind": "next"}, "on_error": {"kind": "sorry", "queue": "other"}},
        {"depends_on": ["p"], "on_parent_failure": "run", "on_error": {"kind": "sorry"}},
    )
    worker = q.worker()
    for job in (parent, child):
        taken = q.claim(worker)
        assert ids(taken) == [job]
        q("log_lines", lease=taken[0]["lease"], job=job, lines=Jsonb([{"message": "begun"}]))
        q.settle(taken, "failed" if job == parent else "succeeded", error={"type": "E"})
        if job == parent:
            q("reschedule", id=job, run_at="2020-01-01")
            q.settle(q.claim(worker), "discard", error={"type": "E"})
    (sorry,) = q.claim(worker, queues=["other"])
    q.settle([sorry])
    assert q.one("delete_jobs", filter={"queue": "other"})["done"] == 1
    assert q.one("delete_jobs", filter={"queue": "default"})["done"] == 2
    assert left(q) == {}


@pytest.mark.parametrize("history", ["none", "failed"])
def test_a_queue_without_history_keeps_nothing(q: Caller, history: str) -> None:
    configure(q, history=history)
    configure(q, "dead", history=history)
    many(
        q,
        {"ref": "p", "on_success": {"kind": "next"}, "max_attempts": 1},
        {"depends_on": ["p"], "ref": "c"},
        {"depends_on": ["c"]},
    )
    worker = q.worker()
    for _ in range(4):
        for job in q.claim(worker):
            q("log_lines", lease=job["lease"], job=job["id"], lines=Jsonb([{"message": "begun"}]))
            assert q.settle([job]) == []
    upkeep(q)
    assert left(q) == {}
    if history == "none":
        parent, child = many(q, {"ref": "p"}, {"depends_on": ["p"], "on_error": {"kind": "sorry"}})
        configure(q, dead_letter_queue="dead")
        q.settle(q.claim(worker), "discard", error={"type": "E"})
        kinds = {job["kind"]: job for job in q.claim(worker, queues=["default", "dead"])}
        assert set(kinds) == {"k", "sorry"}
        assert kinds["k"]["headers"]["dead_letter"]["job"] == parent
        assert kinds["sorry"]["headers"]["parent"]["job"] == child
        q.settle(list(kinds.values()))
        upkeep(q)
        assert {t: n for t, n in left(q).items() if t != "attempt_error"} == {}


@pytest.mark.parametrize(
    "settings", [{}, {"fair": True}, {"group_order": "strict"}, {"group_order": "strict", "fair": True}]
)
def test_a_job_that_blocks_its_group_waits_again_for_its_parents(q: Caller, settings: dict[str, Any]) -> None:
    """… and goes on in the place it kept, rather than to wait for itself."""
    configure(q, group_limit=1, group_failure="block", max_attempts=1, **settings)
    parent, child, other = many(
        q,
        {"ref": "p"},
        {"depends_on": ["p"], "on_parent_failure": "run", "group_key": "g"},
        {"group_key": "g", "delay": 1},
    )
    worker = q.worker()
    for _ in range(2):
        q.settle(q.claim(worker), "failed")
    assert q.states([parent, child]) == ["failed", "failed"]
    q("reschedule", id=other, run_at="2020-01-01")
    q("retry", id=parent)
    assert q.one("retry", id=child)["state"] == "held"
    assert ids(q.claim(worker, 1)) == [parent]
    q.settle([{"lease": q.sql("select id from pgqueue.lease")[0][0], "id": parent}])
    for job in (child, other):
        taken = q.claim(worker)
        assert ids(taken) == [job], q.value("why", id=job)
        q.settle(taken)
    assert q.places() == {}


@pytest.mark.parametrize("cleared", ["fair", "group_rate_limit", "group"])
def test_what_kept_its_place_runs_when_starts_are_no_longer_counted(q: Caller, cleared: str) -> None:
    at(q, 0)
    configure(q, group_limit=1, group_order="strict")
    if cleared == "group":
        q("configure_group", queue="default", group_key="g", settings={"rate_limit": 1, "rate_period": 600})
    else:
        configure(q, group_rate_limit=1, group_rate_period=600)
    first, second = (q.enqueue(group_key="g") for _ in range(2))
    worker = q.worker()
    q.settle(q.claim(worker), "retry", delay=1)
    at(q, 10)
    upkeep(q)
    assert q.claim(worker) == []
    assert q.state(first) == "held"
    if cleared == "group":
        q("configure_group", queue="default", group_key="g", settings={"rate_limit": None, "rate_period": None})
    else:
        configure(q, group_rate_limit=None, group_rate_period=None)
    for job in (first, second):
        taken = q.claim(worker)
        assert ids(taken) == [job], q.value("why", id=job)
        q.settle(taken)
    assert q.places() == {}


def test_what_comes_back_while_starts_cease_to_be_counted_runs(q: Caller, session: Session) -> None:
    """It stands aside to be counted, by the settings that are about to go."""
    q("configure_queue", queue="default", settings={"group_limit": 1, "group_order": "strict", "fair": True})
    job = q.enqueue(group_key="g")
    worker = q.worker()
    q.settle(q.claim(worker), "retry", delay=60)
    q.sql("update pgqueue.scheduled set run_at = '2020-01-01'")
    operator = session()
    with operator.connection.transaction():
        operator("configure_queue", queue="default", settings={"fair": None})
        q("maintain", duties=["promote"])
    assert q.sql("select state from pgqueue.slot") == [(4,)]
    assert q.claim(worker) == []
    q("maintain", duties=["admit"])
    taken = q.claim(worker)
    assert [one["id"] for one in taken] == [job]
    q.settle(taken)
    assert q.places() == {}


def test_a_rate_with_a_shorter_period_is_waited_for_no_longer_than_that(q: Caller) -> None:
    at(q, 0)
    configure(q, group_rate_limit=1, group_rate_period=3600)
    _, second = (q.enqueue(group_key="g") for _ in range(2))
    worker = q.worker()
    q.settle(q.claim(worker))
    at(q, 5)
    configure(q, group_rate_period=10)
    assert q.claim(worker) == []
    at(q, 11)
    upkeep(q)
    assert ids(q.claim(worker)) == [second]


def test_parents_forgotten_cancel_what_waited_for_their_retry(q: Caller) -> None:
    parent, child, grandchild = many(
        q, {"ref": "p"}, {"ref": "c", "depends_on": ["p"], "on_parent_failure": "wait"}, {"depends_on": ["c"]}
    )
    q.settle(q.claim(q.worker()), "discard")
    upkeep(q)
    assert q.states([child, grandchild]) == ["held", "held"]
    assert q.one("delete_jobs", filter={"ids": [parent]})["done"] == 1
    upkeep(q)
    assert q.states([child, grandchild]) == ["cancelled", "cancelled"]
    assert q.one("job", id=child)["reason"] == "parent_failed"


def test_a_failed_parent_is_a_dead_letter_and_its_children_are_not(q: Caller) -> None:
    configure(q, dead_letter_queue="dead")
    configure(q, "dead", max_queued=0)  # nobody may add to it, but what fails is not lost for that
    parent, _child = many(q, {"ref": "p"}, {"depends_on": ["p"]})
    q.settle(q.claim(q.worker()), "discard")
    letters = q.claim(q.worker("dead"), queues=["dead"])
    assert [letter["headers"]["dead_letter"]["job"] for letter in letters] == [parent]


def test_follow_ups_and_schedules_into_a_full_queue(q: Caller) -> None:
    configure(q, "full", max_queued=1)
    many(q, {"on_success": [{"kind": "f", "queue": "full"}, {"kind": "g", "queue": "full"}]})
    q.settle(q.claim(q.worker()))
    assert [job["kind"] for job in q.claim(q.worker("full"), queues=["full"])] == ["f", "g"]
    assert q.sql("select count(*) from pgqueue.late_follow_up") == [(0,)]


def test_jobs_are_moved_into_queues_with_limits(q: Caller) -> None:
    configure(
        q, "full", max_queued=1, group_limit=1, group_order="strict", group_rate_limit=5, max_running=2, fair=True
    )
    jobs = many(q, *[{"group_key": g, "unique_key": u} for g, u in (("a", "1"), ("a", "2"), ("b", "3"), ("b", "4"))])
    waits = q.one("enqueue", kind="k", depends_on=[jobs[0]], group_key="a")["id"]
    worker = q.worker("default", "full")
    q.settle(q.claim(worker, 1), "retry", delay=60)
    assert q.one("move_jobs", filter={"queue": "default"}, queue="full")["done"] == 5
    sound(q)
    order = []
    for _ in range(10):
        q.sql("update pgqueue.scheduled set run_at = '2020-01-01'")
        upkeep(q)
        taken = q.claim(worker, 10, ["full"])
        assert len(taken) <= 2
        order += ids(taken)
        q.settle(taken)
    assert sorted(order) == sorted([*jobs, waits])
    assert q.places() == {}


def test_bulk_operations_over_jobs_that_wait_for_others(q: Caller) -> None:
    parent = q.enqueue("parent")
    jobs = many(q, *[{"depends_on": [parent], "group_key": "g", "unique_key": str(n)} for n in range(4)])
    below = q.one("enqueue", kind="below", depends_on=jobs)["id"]
    named = {"ids": jobs}
    assert q.one("set_priority_of_jobs", filter=named, priority=7)["done"] == 4
    assert q.one("move_jobs", filter=named, queue="other")["done"] == 4
    assert {row["queue"] for row in q("jobs", state="held", max=4)} == {"other", "default"}
    assert {row["queue"]: row["held"] for row in q("queues")}["other"] == 4
    q("edit_job", id=jobs[0], args={"n": 1})
    assert q.one("cancel_jobs", filter={"ids": jobs[1:2]})["done"] == 1
    upkeep(q)
    assert q.state(below) == "cancelled"
    assert q.one("retry_jobs", filter={"ids": [jobs[1], below]})["done"] == 2
    assert q.states([jobs[1], below]) == ["held", "held"]
    sound(q)
    worker = q.worker("default", "other")
    done = []
    for _ in range(6):
        upkeep(q)
        taken = q.claim(worker, 10, ["default", "other"])
        done += taken
        q.settle(taken)
    assert [job["priority"] for job in done if job["id"] in jobs] == [7, 7, 7, 0]
    assert ids(done)[-1] == below
    assert q.places() == {}
    events = [row["event"] for row in q("job_timeline", id=jobs[0])]
    assert {"priority changed", "moved", "edited"} <= set(events)


@pytest.mark.parametrize("on_duplicate", ["replace", "debounce"])
def test_arguments_replaced_where_a_job_waits_for_others(q: Caller, on_duplicate: str) -> None:
    parent = q.enqueue()
    job = q.one("enqueue", kind="k", unique_key="u", depends_on=[parent], expires_in="1 hour", args={"n": 1})["id"]
    again = q.one("enqueue", kind="k", unique_key="u", on_duplicate=on_duplicate, args={"n": 2}, delay="1 minute")
    assert (again["id"], again["created"]) == (job, False)
    worker = q.worker()
    q.settle(q.claim(worker))
    upkeep(q)
    assert q.state(job) == ("scheduled" if on_duplicate == "debounce" else "queued")
    sound(q)
    q("reschedule", id=job, run_at="2020-01-01")
    taken = q.claim(worker)
    assert [job["args"] for job in taken] == [{"n": 2}]
    q.settle(taken)
    assert q.places() == {}


def test_what_expires_while_it_waits_for_others(q: Caller) -> None:
    at(q, 0)
    configure(q, dead_letter_queue="dead")
    parent = q.enqueue()
    child = q.one(
        "enqueue", kind="k", depends_on=[parent], expires_in="5 seconds", unique_key="u", on_error=Jsonb({"kind": "s"})
    )["id"]
    below = q.one("enqueue", kind="k", depends_on=[child])["id"]
    at(q, 6)
    upkeep(q)
    assert q.states([child, below]) == ["failed", "cancelled"]
    assert sorted((row["queue"], row["kind"]) for row in q("jobs", state="queued")) == [
        ("dead", "k"),
        ("default", "noop"),
        ("default", "s"),
    ]
    sound(q)


@pytest.mark.parametrize(
    "settings",
    [{"fair": True}, {"group_rate_limit": 2, "group_rate_period": 1}, {"group_order": "strict", "fair": True}],
)
@pytest.mark.parametrize(
    "way", ["priority", "bulk priority", "reschedule", "debounce", "move", "cancel", "expire", "delete"]
)
def test_the_place_of_an_admitted_job_goes_on(q: Caller, settings: dict[str, Any], way: str) -> None:
    """Groups whose starts are counted: whatever happens to a job that was admitted, its group goes on."""
    at(q, 0)
    configure(q, group_limit=1, **settings)
    jobs = many(
        q,
        *[
            {"group_key": "g", "unique_key": str(n), **({"expires_in": 5} if n == 0 and way == "expire" else {})}
            for n in range(3)
        ],
    )
    worker = q.worker()
    q("maintain", duties=["admit"])
    assert q.state(jobs[0]) == "queued"
    match way:
        case "priority":
            q("set_priority", id=jobs[0], priority=-1)
        case "bulk priority":
            q("set_priority_of_jobs", filter={"ids": jobs[:1]}, priority=-1)
        case "reschedule":
            q("reschedule", id=jobs[0], run_at="2030-01-01 12:01:00+00")
        case "debounce":
            many(q, {"unique_key": "0", "on_duplicate": "debounce", "delay": 60})
        case "move":
            q("move_jobs", filter={"ids": jobs[:1]}, queue="other")
        case "cancel" | "delete":
            q("cancel", id=jobs[0])
            if way == "delete":
                q("delete_jobs", filter={"ids": jobs[:1]})
        case "expire":
            at(q, 6)
    done: list[int] = []
    for second in range(10, 100, 10):
        at(q, second)
        upkeep(q)
        taken = q.claim(worker, 10, ["default", "other"])
        assert len([job for job in taken if job["queue"] == "default"]) <= 1
        done += ids(taken)
        q.settle(taken)
    assert sorted(done) == (jobs[1:] if way in ("cancel", "expire", "delete") else jobs)
    assert q.places() == {}


def test_a_claim_that_expires_starts_and_gives_up_keys_at_once(q: Caller) -> None:
    at(q, 0)
    configure(
        q, rate_limit=3, rate_period=60, group_rate_limit=2, group_rate_period=60, fair=True, dead_letter_queue="dead"
    )
    shared = {"group_key": "g", "unique_until": "start"}
    late = many(q, {**shared, "unique_key": "a", "expires_in": 5, "on_error": {"kind": "s", "queue": "o"}})
    kept = many(
        q, {**shared, "unique_key": "b", "expires_in": 50}, {**shared, "unique_key": "c"}, {**shared, "unique_key": "d"}
    )
    at(q, 6)
    worker = q.worker()
    taken = [job for _ in range(3) for job in q.claim(worker)]
    assert ids(taken) == kept[:2]
    assert q.states(late) == ["failed"]
    assert [key for (key,) in q.sql("select unique_key from pgqueue.job_key")] == ["d"]
    assert {row["queue"] for row in q("jobs", state="queued")} == {"o", "dead"}
    # What is given back wants its key again; one that lost it to another is superseded, and its place goes on.
    again = many(q, {**shared, "unique_key": "b"})
    assert q.settle(taken, "release") == []
    assert q.states(kept[:2]) == ["cancelled", "held"]  # the rate
    at(q, 120)
    done = []
    for second in range(120, 420, 30):
        at(q, second)
        upkeep(q)
        taken = q.claim(worker)
        q.settle(taken)
        done += ids(taken)
    assert sorted(done) == sorted([*kept[1:], *again])
    q.settle(q.claim(worker, queues=["o", "dead"]))
    assert q.places() == {}


def test_a_group_blocked_by_a_job_that_is_deleted(q: Caller) -> None:
    configure(q, group_limit=1, group_failure="block")
    failed, waits = (q.enqueue(group_key="g") for _ in range(2))
    worker = q.worker()
    q.settle(q.claim(worker), "discard")
    q("delete_jobs", filter={"ids": [failed]})
    assert q.claim(worker) == []
    assert "unblock_group" in q.value("why", id=waits)
    assert q("groups", queue="default")[0]["blocked_by"] == failed
    assert q.value("unblock_group", queue="default", group_key="g")
    q.settle(q.claim(worker))
    assert q.places() == {}


def test_a_redrive_spread_over_time_lets_a_blocked_group_go_on_in_order(q: Caller) -> None:
    at(q, 0)
    configure(q, group_limit=1, group_failure="block", group_order="strict")
    first, second = (q.enqueue(group_key="g") for _ in range(2))
    worker = q.worker()
    q.settle(q.claim(worker), "discard")
    assert (
        q.one("retry_jobs", filter={"state": "failed"}, rate_limit=1, starts_at="2030-01-01 12:00:30+00")["done"] == 1
    )
    assert q.claim(worker) == []
    at(q, 31)
    upkeep(q)
    for job in (first, second):
        taken = q.claim(worker)
        assert ids(taken) == [job]
        q.settle(taken)
    assert q.places() == {}


def test_a_paused_queue_with_a_rate(q: Caller) -> None:
    at(q, 0)
    configure(q, rate_limit=1, rate_period=10, group_rate_limit=1, group_rate_period=10)
    jobs = [q.enqueue(group_key="g") for _ in range(3)]
    worker = q.worker()
    q.settle(q.claim(worker))
    q("pause_queue", queue="default")
    at(q, 20)
    upkeep(q)
    assert q.claim(worker) == []
    q("resume_queue", queue="default")
    taken = q.claim(worker)
    assert ids(taken) == jobs[1:2]

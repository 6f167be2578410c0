"""Unique keys: how long each kind of key is held, what a second enqueue does, and how a job comes back to its key."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.sql.calls import Caller, Row
from tests.sql.support import DOORS, contents, many, refused

NOON = "2030-01-01 12:00:00+00"


def put(q: Caller, *, args: Any = None, key: str | None = "u", **options: Any) -> tuple[int, bool]:
    row = q.one("enqueue", kind="k", args=args or {}, **({"unique_key": key} if key else {}), **options)
    return row["id"], row["created"]


def keys(q: Caller) -> dict[str, int]:
    return dict(q.sql("select unique_key, job_id from pgqueue.job_key"))


def at(q: Caller, seconds: int) -> None:
    """From here on it is so many seconds past noon of a day to come."""
    q.sql("select set_config('pgqueue.now', (%s::timestamptz + %s * interval '1 second')::text, false)", NOON, seconds)


def due(q: Caller, job: int) -> int:
    """Seconds past noon."""
    seconds = q.sql(
        "select extract(epoch from run_at - %s::timestamptz) from pgqueue.scheduled where job_id = %s", NOON, job
    )
    return int(seconds[0][0])


def take(q: Caller, worker: int, *jobs: int) -> list[Row]:
    taken = q.claim(worker)
    assert [job["id"] for job in taken] == list(jobs)
    return taken


# -- how long a key is held --


@pytest.mark.parametrize("door", DOORS)
def test_until_start_the_key_is_free_once_a_worker_has_the_job(q: Caller, door: str) -> None:
    worker = q.worker()
    ((job, _),) = DOORS[door](q, kind="k", unique_key="u", unique_until="start")
    assert DOORS[door](q, kind="k", unique_key="u", unique_until="start") == [(job, False)]
    taken = take(q, worker, job)
    assert keys(q) == {}
    ((other, created),) = DOORS[door](q, kind="k", unique_key="u", unique_until="start")
    assert created and other != job
    q.settle(taken)
    assert keys(q) == {"u": other}
    assert q.one("job", id=job)["unique_key"] == "u"
    assert q.places() == {"ready": 1, "job_key": 1}


@pytest.mark.parametrize("end", ["cancel", "expire", "forgotten"])
def test_until_start_a_job_that_never_starts_gives_its_key_up_at_its_end(q: Caller, end: str) -> None:
    at(q, 0)
    if end == "forgotten":
        q("configure_queue", queue="default", settings={"history": "none"})
    job, _ = put(q, unique_until="start", expires_in="1 minute")
    if end == "expire":
        at(q, 60)
        q("maintain", duties=["expire"])
    else:
        q("cancel", id=job)
    assert keys(q) == {}
    assert put(q)[1]


@pytest.mark.parametrize("door", DOORS)
def test_for_a_period_whatever_becomes_of_the_job(q: Caller, door: str) -> None:
    worker = q.worker()
    at(q, 0)
    ((job, _),) = DOORS[door](q, kind="k", unique_key="u", unique_for="1 minute")
    at(q, 59)
    assert DOORS[door](q, kind="k", unique_key="u", unique_for="1 minute") == [(job, False)]
    taken = take(q, worker, job)
    assert DOORS[door](q, kind="k", unique_key="u", unique_for="1 minute") == [(job, False)]
    q.settle(taken)
    q("maintain", duties=["tidy"])
    assert DOORS[door](q, kind="k", unique_key="u", unique_for="1 minute") == [(job, False)]
    at(q, 60)
    ((other, created),) = DOORS[door](q, kind="k", unique_key="u", unique_for="1 minute")
    assert created
    at(q, 119)
    assert put(q) == (other, False)
    q("maintain", duties=["tidy"])
    assert keys(q) == {"u": other}
    at(q, 181)
    q("maintain", duties=["tidy"])
    assert keys(q) == {}
    assert put(q)[1]


def test_any_enqueue_takes_a_key_over_whose_period_is_over(q: Caller) -> None:
    for number, door in enumerate(DOORS.values()):
        at(q, 1000 * number)
        put(q, key="a", unique_for="1 minute")
        put(q, key="b", unique_for="1 minute")
        at(q, 1000 * number + 60)
        ((a, created),) = door(q, kind="k", unique_key="a")
        assert created
        assert put(q, key="a", unique_for="1 s") == (a, False)
        q("cancel", id=a)
        (first, second) = many(q, *[{"kind": "k", "unique_key": "b"}] * 2)
        assert first[1] and second == (first[0], False)
        q("cancel", id=first[0])


def test_a_period_outlives_the_job_row(q: Caller) -> None:
    at(q, 0)
    q("configure_queue", queue="default", settings={"history": "none"})
    worker = q.worker()
    job, _ = put(q, unique_for="1 day")
    q.settle(take(q, worker, job))
    assert q.sql("select count(*) from pgqueue.job") == [(0,)]
    for policy in ("return", "replace", "debounce"):
        assert put(q, unique_for="1 day", on_duplicate=policy) == (job, False)


def test_a_retry_takes_the_key_it_held_until_the_end_or_start_and_none_for_a_period(q: Caller) -> None:
    for options in ({}, {"unique_until": "finish"}, {"unique_until": "start"}):
        job, _ = put(q, key=str(options), **options)
        q("cancel", id=job)
        other, _ = put(q, key=str(options))
        with refused(q, "PQ005", str(other), "holds the unique key"):
            q("retry", id=job)
        q("cancel", id=other)
        assert q.one("retry", id=job)["changed"]
        assert keys(q) == {str(options): job}
        worker = q.worker()
        q.settle(take(q, worker, job))
        assert keys(q) == {}
    job, _ = put(q, unique_for="1 hour")
    q("cancel", id=job)
    q("retry", id=job)
    assert put(q) == (job, False)
    q.settle(take(q, worker, job))
    assert keys(q) == {"u": job}


# -- which key --


def test_a_key_from_arguments(q: Caller) -> None:
    one, _ = put(q, key=None, args={"user": 1, "n": 1}, unique_by=["user"])
    assert put(q, key=None, args={"n": 2, "user": 1}, unique_by=["user"]) == (one, False)
    assert put(q, key=None, args={"user": 2, "n": 1}, unique_by=["user"])[1]
    assert put(q, key=None, args={}, unique_by=["user"])[1]
    assert put(q, key=None, args={"user": None}, unique_by=["user"])[1]
    assert put(q, key=None, args={"user": 1, "n": 1}, unique_by=[])[1]
    assert put(q, key=None, args={"n": 1, "user": 1}, unique_by=[])[1] is False
    assert q.one("enqueue", kind="other", args={"user": 1}, unique_by=["user"])["created"]
    long = put(q, key=None, args={"user": "x" * 5000}, unique_by=["user"])
    assert put(q, key=None, args={"user": "x" * 5000}, unique_by=["user"]) == (long[0], False)
    assert put(q, key=None, args={"user": "x" * 5001}, unique_by=["user"])[1]


# -- raise --


def test_raise_names_the_holder_and_the_element_and_stores_nothing(q: Caller) -> None:
    job, _ = put(q)
    with refused(q, "PQ005", f"job {job} holds the unique key 'u'"):
        put(q, on_duplicate="raise")
    with refused(q, "PQ005", "element 2", f"job {job} holds"):
        many(q, {"kind": "k"}, {"kind": "k", "unique_key": "u", "on_duplicate": "raise"})
    with refused(q, "PQ005", "element 2", "'v'"):
        many(q, *[{"kind": "k", "unique_key": "v", "on_duplicate": "raise"}] * 2)
    with refused(q, "PQ005", "element 2", f"job {job} holds"):
        q(
            "enqueue_each",
            kind="k",
            args=[{}, {}],
            unique_keys=["w", "u"],
            on_duplicate="raise",
        )
    assert put(q, key="w", on_duplicate="raise")[1]


# -- replace, debounce --


@pytest.mark.parametrize(
    ("door", "place", "until"),
    list(
        zip(
            [*DOORS, *DOORS],
            ["ready", "scheduled", "arrival", "blocked", "suspect", "retried"],
            ["start", "finish"] * 3,
            strict=True,
        )
    ),
)
def test_replace_gives_a_waiting_job_new_arguments(q: Caller, door: str, place: str, until: str) -> None:
    q("configure_queue", queue="default", settings={"group_limit": 1})
    options: dict[str, Any] = {"delay": "1 hour"} if place == "scheduled" else {}
    if place in ("arrival", "blocked"):
        options = {"group_key": "g"}
        blocking = q.enqueue(group_key="g")
    worker = q.worker()
    job, _ = put(q, args={"n": 1}, headers={"h": 1}, unique_until=until, backoff={"base": 0}, **options)
    if place == "blocked":
        take(q, worker, blocking)
    elif place == "suspect":
        take(q, worker, job)
        q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
        q("maintain", duties=["rescue"])
        worker = q.worker()
    elif place == "retried":
        q.settle(take(q, worker, job), "failed", error={})
    where = "ready" if place == "retried" else place
    assert q.places()[where] == 1 + (place == "arrival")
    again = {"unique_key": "u", "args": {"n": 2}, "headers": {"h": 2}, "on_duplicate": "replace", "delay": "2 hours"}
    assert DOORS[door](q, kind="k", **again) == [(job, False)]
    assert q.places()[where] == 1 + (place == "arrival")
    found = q.one("job", id=job)
    assert (found["args"], found["headers"]) == ({"n": 2}, {"h": 2})
    assert keys(q) == {"u": job}
    if place not in ("scheduled", "arrival", "blocked"):
        assert take(q, worker, job)[0]["args"] == {"n": 2}


@pytest.mark.parametrize("policy", ["replace", "debounce"])
def test_the_new_job_takes_the_key_from_one_that_runs(q: Caller, policy: str) -> None:
    worker = q.worker()
    job, _ = put(q, args={"n": 1}, backoff={"base": 0})
    taken = take(q, worker, job)
    other, created = put(q, args={"n": 2}, on_duplicate=policy)
    assert created and keys(q) == {"u": other}
    assert q.one("job", id=job)["args"] == {"n": 1}
    assert put(q, args={"n": 3}, on_duplicate=policy) == (other, False)
    assert q.settle(taken) == []
    assert keys(q) == {"u": other}
    assert [row["args"] for row in take(q, worker, other)] == [{"n": 3}]


@pytest.mark.parametrize("outcome", ["failed", "release", "snooze"])
def test_one_that_was_replaced_while_it_ran_does_not_run_again(q: Caller, outcome: str) -> None:
    worker = q.worker()
    job, _ = put(q, args={"n": 1}, backoff={"base": 0})
    taken = take(q, worker, job)
    other, _ = put(q, args={"n": 2}, on_duplicate="replace")
    q.settle(taken, outcome, error={"type": "E"}, delay=0)
    ended = q.one("job", id=job)
    assert (ended["state"], ended["reason"]) == ("cancelled", "superseded")
    assert [row["error"] for row in q("attempts", id=job)] == [{"type": "E"}]
    take(q, worker, other)
    assert keys(q) == {"u": other}


def test_debounce_moves_a_job_to_the_last_time(q: Caller) -> None:
    worker = q.worker()
    at(q, 0)
    job, _ = put(q, args={"n": 0}, delay="10 s", on_duplicate="debounce")
    for n in (1, 2, 3):
        at(q, 5 * n)
        q("maintain", duties=["promote"])
        assert put(q, args={"n": n}, delay="10 s", on_duplicate="debounce") == (job, False)
        assert due(q, job) == 5 * n + 10
    at(q, 24)
    q("maintain", duties=["promote"])
    assert q.claim(worker) == []
    at(q, 25)
    q("maintain", duties=["promote"])
    assert take(q, worker, job)[0]["args"] == {"n": 3}


@pytest.mark.parametrize("group", [None, "g"])
def test_debounce_between_a_time_and_now(q: Caller, group: str | None) -> None:
    at(q, 0)
    q("configure_queue", queue="default", settings={"group_limit": 1})
    options = {"group_key": group} if group else {}
    worker = q.worker()
    job, _ = put(q, **options)
    other = q.enqueue(group_key=group) if group else None
    q.claim(worker, 1, queues=["elsewhere"])
    q("maintain", duties=["admit"])
    assert q.state(job) == "queued"
    assert put(q, args={"n": 1}, delay="1 minute", on_duplicate="debounce", **options) == (job, False)
    assert (q.state(job), due(q, job)) == ("scheduled", 60)
    if other:
        q.settle(take(q, worker, other))  # it holds no slot while it waits for a time
    assert put(q, args={"n": 2}, on_duplicate="debounce", **options) == (job, False)
    assert q.state(job) == "queued"
    assert put(q, args={"n": 3}, on_duplicate="debounce", **options) == (job, False)
    taken = take(q, worker, job)
    assert taken[0]["args"] == {"n": 3}
    q.settle(taken)
    assert q.places() == {}


def test_replace_keeps_a_period_and_debounce_begins_it_anew(q: Caller) -> None:
    worker = q.worker()
    at(q, 0)
    job, _ = put(q, unique_for="1 minute", delay="10 s")
    at(q, 30)
    assert put(q, args={"n": 1}, unique_for="1 minute", delay="10 s", on_duplicate="replace") == (job, False)
    assert q.sql("select until = %s::timestamptz + interval '60 s' from pgqueue.job_key", NOON) == [(True,)]
    assert put(q, args={"n": 2}, unique_for="1 minute", delay="10 s", on_duplicate="debounce") == (job, False)
    at(q, 40)
    q("maintain", duties=["promote"])
    taken = take(q, worker, job)
    # It runs, and has run: for the rest of the period nothing more is done.
    at(q, 89)
    for outcome in ("snooze", "succeeded"):
        for policy in ("replace", "debounce"):
            assert put(q, args={"n": 3}, unique_for="1 minute", on_duplicate=policy) == (job, False)
            assert q.one("job", id=job)["args"] == {"n": 2}
        q.settle(taken, outcome, delay=0)
        taken = q.claim(worker)
    at(q, 90)
    assert put(q, unique_for="1 minute", on_duplicate="debounce")[1]


def test_a_period_is_not_cut_short_by_a_neighbour_that_gives_its_key_back(q: Caller) -> None:
    """Settled, or cancelled, together with a job that holds its key until it ends."""
    worker = q.worker()
    period, _ = put(q, key="p", unique_for="1 day")
    other, _ = put(q, key="f")
    assert q.settle(take(q, worker, period, other)) == []
    assert keys(q) == {"p": period}
    assert put(q, key="p", unique_for="1 day") == (period, False)


def test_a_debounce_that_began_before_the_job_does_not_cut_its_period_short(q: Caller) -> None:
    """As one that had to wait for it does."""
    at(q, 10)
    job, _ = put(q, unique_for="1 minute", delay="10 s")
    at(q, 0)
    assert put(q, unique_for="1 minute", delay="10 s", on_duplicate="debounce") == (job, False)
    at(q, 65)
    assert put(q, unique_for="1 minute") == (job, False)


def test_one_kind_does_not_get_the_arguments_of_another(q: Caller) -> None:
    job, _ = put(q)
    for policy in ("replace", "debounce"):
        with refused(q, "PQ005", f"job {job} holds", "kind k, not other"):
            q.enqueue("other", unique_key="u", on_duplicate=policy)
        with refused(q, "PQ005", "element 2", "kind a, not b"):
            many(q, *({"kind": kind, "unique_key": "v", "on_duplicate": policy} for kind in "ab"))


def test_the_last_of_one_call_counts(q: Caller) -> None:
    at(q, 0)
    worker = q.worker()

    def element(n: int, policy: str, **more: Any) -> dict[str, Any]:
        return {"kind": "k", "args": {"n": n}, "unique_key": "u", "on_duplicate": policy, **more}

    (job, _), *others = many(
        q, element(1, "return"), element(2, "replace", delay=5), element(3, "debounce", delay=9), element(4, "return")
    )
    assert others == [(job, False)] * 3
    assert (q.one("job", id=job)["args"], due(q, job)) == ({"n": 3}, 9)
    assert many(q, element(5, "debounce"), element(6, "replace", delay=9)) == [(job, False)] * 2
    taken = take(q, worker, job)
    assert taken[0]["args"] == {"n": 6}
    # It runs: the first that replaces makes another job, which is the one for those after it.
    found = many(q, element(7, "return"), element(8, "replace"), element(9, "return"), element(10, "replace"))
    assert found[0] == (job, False) and found[1][1] and found[2:] == [(found[1][0], False)] * 2
    assert take(q, worker, found[1][0])[0]["args"] == {"n": 10}


# -- coming back --


def start_key(q: Caller, worker: int, **options: Any) -> tuple[int, list[Row]]:
    job, _ = put(q, unique_until="start", backoff={"base": 0}, **options)
    return job, take(q, worker, job)


@pytest.mark.parametrize("way", ["failed", "retry", "snooze", "release", "timeout", "deregister", "lost"])
@pytest.mark.parametrize("held", [False, True])
def test_who_comes_back_takes_the_key_again_or_leaves_the_work_to_its_holder(q: Caller, way: str, held: bool) -> None:
    history = "none" if way in ("retry", "lost") else "all"
    q("configure_queue", queue="default", settings={"history": history})
    worker = q.worker()
    job, taken = start_key(q, worker)
    other = put(q, unique_until="start")[0] if held else None
    if way == "deregister":
        q("deregister_worker", worker=worker)
    elif way == "lost":
        q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01' where id = %s", worker)
        q("maintain", duties=["rescue"])
    else:
        assert q.settle(taken, way, error={"type": "E"}, delay=0) == []
    assert keys(q) == {"u": other or job}
    worker = q.worker()
    if other:
        assert history == "none" or (q.one("job", id=job)["state"], q.one("job", id=job)["reason"]) == (
            "cancelled",
            "superseded",
        )
        q.settle(take(q, worker, other))
    else:
        assert put(q, unique_until="start") == (job, False)
        q.settle(take(q, worker, job))
    assert q.places() == {}


def test_a_retry_to_come_holds_the_key(q: Caller) -> None:
    worker = q.worker()
    at(q, 0)
    job, taken = start_key(q, worker, args={"n": 1})
    q.settle(taken, "retry", error={}, delay=60)
    assert put(q, args={"n": 2}, unique_until="start", on_duplicate="replace") == (job, False)
    at(q, 60)
    q("maintain", duties=["promote"])
    assert take(q, worker, job)[0]["args"] == {"n": 2}


def test_a_batch_comes_back_each_by_itself(q: Caller) -> None:
    worker = q.worker()
    jobs = [put(q, key=f"u{n}", unique_until="start", backoff={"base": 0})[0] for n in range(20)]
    plain = q.enqueue(backoff={"base": 0})
    taken = take(q, worker, *jobs, plain)
    others = [put(q, key=f"u{n}", unique_until="start")[0] for n in range(0, 20, 2)]
    assert q.settle(taken, "failed", error={}) == []
    assert q.states(jobs) == ["cancelled", "queued"] * 10
    assert {job["id"] for job in q.claim(worker)} == {*others, *jobs[1::2], plain}
    assert keys(q) == {}


def test_a_thousand_of_one_call(q: Caller) -> None:
    """Half of them held by waiting jobs, which get the new arguments, all in one statement."""
    old = {n: put(q, key=f"u{n}")[0] for n in range(0, 1000, 2)}
    before = contents(q)["job_key"]
    jobs = [{"kind": "k", "unique_key": f"u{n}", "args": {"n": n}, "on_duplicate": "replace"} for n in range(1000)]
    found = many(q, *jobs)
    assert [created for _, created in found] == [False, True] * 500
    assert [job for job, _ in found[::2]] == list(old.values())
    assert q.sql("select count(*) from pgqueue.job where args ->> 'n' = substr(unique_key, 2)") == [(1000,)]
    assert contents(q)["job_key"] != before
    assert q("enqueue_many", jobs=Jsonb([])) == []

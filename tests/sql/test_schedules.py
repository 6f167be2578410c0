"""Schedules in the database: what they enqueue, however many run upkeep, and what does not stop them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.sql.calls import Caller, Row
from tests.sql.support import refused
from tests.support.cluster import wait_for

NOON = "2030-01-01 12:00:00+00"


@pytest.fixture
def q(q: Caller) -> Caller:
    q.clock(NOON)
    return q


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2030-01-01 {text}").replace(tzinfo=UTC)


def clock(q: Caller, text: str) -> None:
    q.clock(f"2030-01-01 {text}+00")


def upkeep(q: Caller) -> int:
    """One pass; how many jobs schedules made."""
    ((duty),) = q("maintain", duties=["schedules"])
    assert duty["error"] is None
    return int(duty["done"])


def ticks(q: Caller, name: str = "s") -> list[str]:
    """Those of the schedule's jobs, by id."""
    rows = q.sql("select headers ->> 'tick' from pgqueue.job where headers ->> 'schedule' = %s order by id", name)
    return [tick.removeprefix("2030-01-01T").removesuffix("+00:00") for (tick,) in rows]


def put(q: Caller, cron: str = "*/5 * * * *", name: str = "s", kind: str = "k", **options: Any) -> Row:
    return q.one("schedule", name=name, cron=cron, kind=kind, **options)


def shown(q: Caller, name: str = "s") -> Row:
    return {row["name"]: row for row in q("schedules")}[name]


# Making and changing


def test_a_job_is_made_with_all_it_was_given(q: Caller) -> None:
    made = put(
        q, args={"a": 1}, queue="mail", priority=3, unique_key="u", group_key="g", max_attempts=2, timeout="1 minute",
        expires_in="1 hour", heartbeat="2 minutes", backoff={"base": 1}, headers={"h": 1, "tick": "mine"},
    )  # fmt: skip
    assert made == {"changed": True, "next_run": at("12:05")}
    clock(q, "12:05:00")
    assert upkeep(q) == 1
    assert upkeep(q) == 0
    row = shown(q)
    job = q.one("job", id=row["last_job"])
    assert (row["last_run"], row["next_run"], row["last_error"]) == (at("12:05"), at("12:10"), None)
    assert job["headers"] == {"h": 1, "schedule": "s", "tick": "2030-01-01T12:05:00+00:00"}
    assert job["created_at"] == at("12:05")
    for column in (
        "kind",
        "args",
        "queue",
        "priority",
        "unique_key",
        "group_key",
        "max_attempts",
        "timeout",
    ):
        assert job[column] == row[column], column
    assert job["expires_at"] == at("13:05")


def test_the_tick_is_told_in_utc_by_any_session(q: Caller) -> None:
    q.sql("set timezone = 'Asia/Kathmandu'")
    put(q, "every 1.5 seconds", starts_at="2030-01-01 12:00:01+00")
    clock(q, "12:00:02.6")
    assert upkeep(q) == 2
    assert ticks(q) == ["12:00:01", "12:00:02.5"]


def test_the_same_again_changes_nothing_and_keeps_what_is_owed(q: Caller) -> None:
    put(q)
    clock(q, "12:06:00")
    assert put(q) == {"changed": False, "next_run": at("12:05")}
    assert put(q, args={"a": 1}) == {"changed": True, "next_run": at("12:05")}
    assert upkeep(q) == 1
    assert put(q, "*/7 * * * *") == {"changed": True, "next_run": at("12:07")}
    assert shown(q)["created_at"] == at("12:00")
    assert shown(q)["updated_at"] == at("12:06")


def test_a_pause_lasts_and_its_ticks_are_not_missed(q: Caller) -> None:
    put(q, missed="all")
    assert q.value("pause_schedule", name="s") is True
    assert q.value("pause_schedule", name="s") is False
    assert put(q, "*/10 * * * *", missed="all") == {"changed": True, "next_run": None}
    assert shown(q)["paused"] is True
    clock(q, "13:01:00")
    assert upkeep(q) == 0
    assert q.value("next_due") is None
    assert q.value("resume_schedule", name="s") is True
    assert q.value("resume_schedule", name="s") is False
    assert shown(q)["next_run"] == at("13:10")
    assert ticks(q) == []


def test_a_schedule_has_its_time(q: Caller) -> None:
    put(q, "every 10 minutes", starts_at="2030-01-01 12:03+00", ends_at="2030-01-01 12:23+00", missed="all")
    clock(q, "12:02:59")
    assert upkeep(q) == 0
    clock(q, "14:00:00")
    assert upkeep(q) == 3
    assert ticks(q) == ["12:03:00", "12:13:00", "12:23:00"]
    assert shown(q)["next_run"] is None
    assert put(q, "@hourly", ends_at="2030-01-01 12:00+00")["next_run"] is None
    assert put(q, "0 12 * * *", starts_at="2030-01-01 12:00+00")["next_run"] == at("12:00").replace(day=2)


def test_it_is_removed_and_run_out_of_turn(q: Caller) -> None:
    put(q)
    q("pause_schedule", name="s")
    job = q.value("run_schedule", name="s")
    assert (shown(q)["last_job"], shown(q)["last_run"]) == (job, at("12:00"))
    assert ticks(q) == ["12:00:00"]
    assert q.value("unschedule", name="s") is True
    assert q.value("unschedule", name="s") is False
    assert q.state(job) == "queued"


# Ticks, missed and not


@pytest.mark.parametrize(
    ("missed", "wanted"),
    [
        ("skip", ["12:40:00"]),
        ("one", ["12:05:00"]),
        ("all", ["12:05:00", "12:10:00", "12:15:00", "12:20:00", "12:25:00", "12:30:00", "12:35:00", "12:40:00"]),
    ],
)
def test_what_was_missed_goes_by_the_policy(q: Caller, missed: str, wanted: list[str]) -> None:
    put(q, missed=missed)
    clock(q, "12:40:20")
    assert upkeep(q) == len(wanted)
    assert ticks(q) == wanted
    assert shown(q)["next_run"] == at("12:45")


@pytest.mark.parametrize("missed", ["skip", "one", "all"])
def test_less_than_a_minute_late_is_on_time(q: Caller, missed: str) -> None:
    put(q, "every 20 seconds", missed=missed)
    clock(q, "12:01:19.9")
    assert upkeep(q) == 3
    assert ticks(q) == ["12:00:20", "12:00:40", "12:01:00"]


def test_nothing_current_is_nothing_when_missed_ticks_are_left_out(q: Caller) -> None:
    put(q, missed="skip")
    clock(q, "12:42:00")
    assert upkeep(q) == 0
    assert shown(q)["next_run"] == at("12:45")


def test_a_pass_is_bounded_and_the_next_one_goes_on(q: Caller) -> None:
    put(q, "every 10 seconds", missed="all")
    clock(q, "12:30:00")
    assert [upkeep(q), upkeep(q)] == [100, 80]
    assert len(set(ticks(q))) == 180
    assert upkeep(q) == 0


def test_a_unique_key_keeps_runs_apart(q: Caller) -> None:
    put(q, unique_key="one")
    clock(q, "12:05:00")
    upkeep(q)
    clock(q, "12:10:00")
    upkeep(q)
    assert ticks(q) == ["12:05:00"]
    assert shown(q)["next_run"] == at("12:15")


@pytest.mark.parametrize(
    "options",
    [{"unique_key": "one"}, {"unique_by": ["a"]}, {"unique_by": []}, {"unique_by": ["a"], "on_duplicate": "return"}],
)
def test_a_tick_that_finds_its_key_held_is_done(q: Caller, options: dict[str, Any]) -> None:
    put(q, args={"a": 1, "b": 2}, **options)
    clock(q, "12:05:00")
    upkeep(q)
    holder = shown(q)["last_job"]
    clock(q, "12:10:00")
    upkeep(q)
    row = shown(q)
    assert (row["last_job"], row["last_run"], row["next_run"], row["last_error"]) == (
        holder,
        at("12:10"),
        at("12:15"),
        None,
    )
    worker = q.worker()
    q.settle(q.claim(worker))
    clock(q, "12:15:00")
    assert upkeep(q) == 1
    assert ticks(q) == ["12:05:00", "12:15:00"]


def test_a_tick_that_is_to_tell_of_a_held_key_tells_and_is_passed_over(q: Caller) -> None:
    """It is not tried again, and the next one that finds the key free takes the error away."""
    put(q, unique_key="one", on_duplicate="raise", missed="all")
    clock(q, "12:05:00")
    assert upkeep(q) == 1
    first = shown(q)["last_job"]
    clock(q, "12:15:00")
    assert upkeep(q) == 0  # both of them
    row = shown(q)
    assert (row["last_job"], row["last_run"], row["next_run"]) == (first, at("12:05"), at("12:20"))
    assert "12:15:00 UTC was passed over" in row["last_error"] and "'one'" in row["last_error"]
    assert [health["ok"] for health in q("health") if health["item"] == "schedules"] == [False]
    with refused(q, "PQ005", "one"):
        q("run_schedule", name="s")
    q.settle(q.claim(q.worker()))
    assert upkeep(q) == 0
    clock(q, "12:20:00")
    assert upkeep(q) == 1
    assert (shown(q)["last_error"], ticks(q)) == (None, ["12:05:00", "12:20:00"])


def test_no_number_of_ticks_passed_over_holds_up_a_schedule(q: Caller) -> None:
    put(q, "every 1 second", unique_key="one", on_duplicate="raise", missed="all")
    clock(q, "12:05:00")
    for _ in range(4):
        upkeep(q)
    assert (shown(q)["next_run"], len(ticks(q))) == (at("12:05:01"), 1)


@pytest.mark.parametrize("policy", ["replace", "debounce"])
def test_a_tick_replaces_the_job_that_waits(q: Caller, policy: str) -> None:
    put(q, unique_key="one", on_duplicate=policy, args={"a": 1})
    clock(q, "12:05:00")
    upkeep(q)
    put(q, unique_key="one", on_duplicate=policy, args={"a": 2})
    clock(q, "12:10:00")
    assert upkeep(q) == 1
    assert ticks(q) == ["12:10:00"]
    job = q.one("job", id=shown(q)["last_job"])
    assert (job["args"], job["state"]) == ({"a": 2}, "queued")


def test_a_job_of_another_kind_is_not_replaced_and_does_not_stop_the_schedule(q: Caller) -> None:
    put(q, unique_key="one", on_duplicate="replace")
    q.enqueue(kind="other", unique_key="one")
    clock(q, "12:05:00")
    assert upkeep(q) == 0
    assert ("other" in shown(q)["last_error"], shown(q)["next_run"]) == (True, at("12:10"))


def test_a_key_of_a_tick_is_held_as_the_schedule_says(q: Caller) -> None:
    put(q, name="start", unique_key="a", unique_until="start")
    put(q, name="period", unique_by=[], kind="other", unique_for="7 minutes")
    worker = q.worker()
    for time in ("12:05:00", "12:10:00"):
        clock(q, time)
        upkeep(q)
        q.claim(worker)
    assert ticks(q, "start") == ["12:05:00", "12:10:00"]
    assert ticks(q, "period") == ["12:05:00"]
    clock(q, "12:15:00")
    upkeep(q)
    assert ticks(q, "period") == ["12:05:00", "12:15:00"]


def test_follow_ups_of_a_tick(q: Caller) -> None:
    put(
        q,
        on_success={"kind": "good", "pass_as": "of"},
        on_error=Jsonb([{"kind": "bad"}, {"kind": "page"}]),
        max_attempts=1,
    )
    worker = q.worker()
    for time, outcome in (("12:05:00", "succeeded"), ("12:10:00", "failed")):
        clock(q, time)
        upkeep(q)
        q.settle(q.claim(worker), outcome, **({"result": 7} if outcome == "succeeded" else {}))
    made = q.sql("select kind, args from pgqueue.job where kind <> 'k' order by id")
    assert made == [("good", {"of": 7}), ("bad", {}), ("page", {})]


def test_its_options_are_shown_and_part_of_what_is_changed(q: Caller) -> None:
    options: dict[str, Any] = {
        "unique_by": ["a"], "unique_for": "1 minute", "on_duplicate": "debounce", "on_success": {"kind": "x"},
        "on_error": {"kind": "y", "delay": 5},
    }  # fmt: skip
    put(q)
    assert put(q, **options)["changed"] is True
    assert put(q, **options)["changed"] is False
    row = shown(q)
    assert {name: row[name] for name in options if name != "unique_for"} == {
        name: value for name, value in options.items() if name != "unique_for"
    }
    assert (row["unique_for"].total_seconds(), row["unique_until"]) == (60, None)
    for name, value in {
        "unique_by": ["b"],
        "unique_for": "2 minutes",
        "on_duplicate": "replace",
        "on_error": None,
    }.items():
        assert put(q, **{**options, name: value})["changed"] is True, name
        put(q, **options)
    assert put(q, unique_key="k", unique_until="start")["changed"] is True


# Queries and scripts


def test_a_query_at_each_tick(q: Caller) -> None:
    args = {"sql": "select $1::int", "params": [7], "owner": "ada", "timeout": 90, "read_only": True, "max_rows": 5}
    put(q, kind="sql.query", args=args, priority=3)
    assert (shown(q)["queue"], shown(q)["args"]) == ("queries", args)
    assert put(q, kind="sql.query", args=args, priority=3)["changed"] is False
    clock(q, "12:05:00")
    assert upkeep(q) == 1
    asked = shown(q)["last_job"]
    status = q.one("query_status", id=asked)
    assert (status["owner"], status["state"]) == ("ada", "queued")
    stored = q.sql(
        "select sql, params, read_only, max_rows, extract(epoch from timeout) from pgqueue.query where job_id = %s",
        asked,
    )
    assert stored == [("select $1::int", [7], True, 5, 90)]
    assert q.one("job", id=asked)["priority"] == 3
    # one that waits still is shared, as by any who asks for the same
    clock(q, "12:10:00")
    upkeep(q)
    assert shown(q)["last_job"] == asked
    (job,) = q.claim(q.worker("queries"), 10, ["queries"])
    assert job["id"] == asked
    assert q.one("query_begin", lease=job["lease"], job=asked, backend_pid=1, backend_start="2026-01-01") is not None


def test_a_script_at_each_tick(q: Caller) -> None:
    put(q, kind="sql.script", args={"document": ["select 1", "select 2"], "datasource": "dwh"}, queue="nightly")
    (user,) = q.sql("select session_user::text")[0]
    assert shown(q)["args"]["owner"] == user
    for minute in (5, 10):
        clock(q, f"12:{minute:02}:00")
        assert upkeep(q) == 1
    first, second = q("scripts", owner=user)
    assert {first["queue"], second["queue"]} == {"nightly"}
    assert [query["query"] for query in q.value("script_report", id=first["id"])["queries"]] == ["select 1", "select 2"]
    assert q.sql("select distinct args ->> 'datasource' from pgqueue.job") == [("dwh",)]


def test_the_owner_is_who_makes_the_schedule(q: Caller, session: Callable[[], Caller]) -> None:
    """Whoever runs upkeep, or runs it out of turn."""
    operator = session()
    q.sql("create role nightly_operator in role pgqueue_operator")
    try:
        operator.sql("set session authorization nightly_operator")
        clock(operator, "12:00:00")
        put(operator, kind="sql.query", args={"sql": "select 1"})
        asked = q.value("run_schedule", name="s")
        assert q.one("query_status", id=asked)["owner"] == "nightly_operator"
    finally:
        operator.connection.close()
        q.sql("drop role nightly_operator")


def test_a_full_line_of_scripts_is_tried_again(q: Caller) -> None:
    q("configure_owner", owner="ada", settings={"max_waiting": 1})
    put(q, kind="sql.script", args={"document": "select 1", "owner": "ada"})
    q("submit_script", document=Jsonb("select 2"), owner="ada")
    clock(q, "12:05:00")
    assert upkeep(q) == 0
    assert ("ada has 1 scripts" in shown(q)["last_error"], shown(q)["next_run"]) == (True, at("12:05"))
    q("configure_owner", owner="ada", settings={"max_waiting": 2})
    clock(q, "12:05:15")
    assert upkeep(q) == 1


@pytest.mark.parametrize(
    ("kind", "args"),
    [("sql.query", {"sql": "select 1", "owner": "ada"}), ("sql.script", {"document": "select 1", "owner": "ada"})],
)
@pytest.mark.parametrize("well", [True, False])
def test_follow_ups_of_queries_and_scripts(q: Caller, kind: str, args: dict[str, Any], well: bool) -> None:
    """With them no tick shares a query: each has follow-ups of its own."""
    follow = {
        "on_success": {"kind": "good", "pass_as": "it", "args": {"n": 1}},
        "on_error": {"kind": "bad", "pass_as": "it"},
    }
    put(q, kind=kind, args=args, **follow)
    assert put(q, kind=kind, args=args, **follow)["changed"] is False
    assert {name: shown(q)[name] for name in follow} == follow
    for minute in (5, 10):
        clock(q, f"12:{minute:02}:00")
        assert upkeep(q) == 1
    asked = [shown(q)["last_job"], q.value("run_schedule", name="s")]
    queue = shown(q)["queue"]
    assert q.sql("select count(*) from pgqueue.job where queue = %s", queue) == [(3,)]
    for _ in range(3):
        (job,) = q.claim(q.worker(queue), 1, [queue])
        room = kind[4:]
        q(f"{room}_begin", lease=job["lease"], job=job["id"], backend_pid=1, backend_start="2026-01-01")
        row = q.one(f"{room}_end", lease=job["lease"], job=job["id"], error=None if well else {"message": "no"})
        more = {name: row[own] for name, own in (("result", "result"), ("error", "failure")) if row[own] is not None}
        assert q.settle([job], row["verdict"], **more) == []
    made = q.sql("select kind, args from pgqueue.job where queue = 'default' order by id")
    assert [name for name, _ in made] == ["good" if well else "bad"] * 3
    assert all("it" in given and given.get("n") == (1 if well else None) for _, given in made)
    assert {q.state(id) for id in asked} == {"succeeded" if well else "failed"}


def test_queries_can_be_declared(q: Caller) -> None:
    given = declared(kind="sql.query", args={"sql": "select 1"})
    assert sync(q, given) == {"s": "added"}
    assert sync(q, given) == {"s": "unchanged"}
    assert shown(q)["queue"] == "queries"
    assert sync(q, {**given, "headers": {"h": 1}}) == {"s": "refused"}
    assert sync(q, {**given, "on_error": {"kind": "tell"}}) == {"s": "changed"}
    assert shown(q)["on_error"] == {"kind": "tell"}


@pytest.mark.parametrize(
    ("kind", "args", "options", "words"),
    [
        ("sql.query", {}, {}, "sql"),
        ("sql.query", {"sql": 7}, {}, "sql number"),
        ("sql.query", {"sql": ""}, {}, "sql"),
        ("sql.query", {"sql": "select 1", "document": "x"}, {}, "document"),
        ("sql.query", {"sql": "select 1", "priority": 3}, {}, "priority"),
        ("sql.query", {"sql": "select 1", "params": {}}, {}, "params object"),
        ("sql.query", {"sql": "select 1", "timeout": "soon"}, {}, "soon"),
        ("sql.query", {"sql": "select 1", "ttl": -1}, {}, "ttl"),
        ("sql.query", {"sql": "select 1", "batch_rows": "many"}, {}, "many"),
        ("sql.query", {"sql": "select 1", "max_rows": -1}, {}, "max_rows"),
        ("sql.query", {"sql": "select 1", "unique": "perhaps"}, {}, "perhaps"),
        ("sql.query", {"sql": "select 1", "settings": {"role": "x"}}, {}, "role"),
        ("sql.query", {"sql": "select 1", "owner": ["a"]}, {}, "owner array"),
        ("sql.query", {"sql": "select 1", "owner": ""}, {}, "owner"),
        ("sql.script", {"sql": "select 1"}, {}, "sql"),
        ("sql.script", {}, {}, "document"),
        ("sql.script", {"document": [7]}, {}, "query 0"),
        ("sql.script", {"document": ["x" * 17000]}, {}, "too large"),
        *(
            ("sql.query", {"sql": "select 1"}, {option: value}, option)
            for option, value in {
                "unique_key": "u",
                "group_key": "g",
                "max_attempts": 2,
                "timeout": "1 s",
                "expires_in": "1 s",
                "heartbeat": "1 s",
                "backoff": {"base": 1},
                "headers": {"h": 1},
                "unique_by": ["sql"],
            }.items()
        ),
        ("sql.query", {"sql": "select 1", "max_age": 60}, {"on_success": {"kind": "k"}}, "max_age"),
        ("sql.query", {"sql": "select 1", "max_age": 60}, {"on_error": {"kind": "k"}}, "max_age"),
        ("sql.script", {"document": "select 1"}, {"on_error": {"kind": ""}}, "on_error kind"),
    ],
)
def test_what_a_query_or_script_cannot_be_is_refused_at_once(
    q: Caller, kind: str, args: dict[str, Any], options: dict[str, Any], words: str
) -> None:
    with refused(q, "PQ001", *words.split()):
        q("schedule", name="s", cron="@daily", kind=kind, args=args, **options)


def test_the_leader_knows_when_to_wake(q: Caller) -> None:
    q.enqueue(run_at="2030-01-01 12:30+00")
    assert q.value("next_due") == at("12:30")
    put(q)
    assert q.value("next_due") == at("12:05")


# What goes wrong


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        ("args = '[]'", "args"),
        ("time_zone = 'Mars/Olympus'", "Mars/Olympus"),
        ("cron = 'at dawn'", "at dawn"),
        ("backoff = '{\"base\": -1}'", "backoff"),
    ],
)
def test_a_bad_schedule_stops_no_other(q: Caller, broken: str, word: str) -> None:
    for name in ("a", "b", "c"):
        put(q, name=name)
    q.sql(f"update pgqueue.schedule set {broken} where name = 'b'")
    clock(q, "12:05:00")
    assert upkeep(q) == 2
    assert word in shown(q, "b")["last_error"]
    assert shown(q, "b")["next_run"] == at("12:05")
    (health,) = [row for row in q("health") if row["item"] == "schedules"]
    assert health["ok"] is False and "b: " in health["detail"] and word in health["detail"]
    # corrected, it gives what it owes; with other times it owes nothing yet
    assert put(q, name="b")["changed"] is True
    assert upkeep(q) == (0 if broken.startswith(("time_zone", "cron")) else 1)
    clock(q, "12:10:00")
    upkeep(q)
    assert ticks(q, "b")[-1] == "12:10:00"
    assert [row["ok"] for row in q("health") if row["item"] == "schedules"] == [True]


def test_a_schedule_that_failed_is_tried_again(q: Caller) -> None:
    put(q)
    q.sql("update pgqueue.schedule set args = '[]'")
    clock(q, "12:05:00")
    assert upkeep(q) == 0
    q.sql("update pgqueue.schedule set args = '{}'")
    assert upkeep(q) == 0
    clock(q, "12:05:15")
    assert upkeep(q) == 1
    assert shown(q)["last_error"] is None
    assert ticks(q) == ["12:05:00"]


def test_late_schedules_show_in_health(q: Caller) -> None:
    put(q)
    clock(q, "12:07:00")
    (health,) = [row for row in q("health") if row["item"] == "schedules"]
    assert health["ok"] is False and "not looked at" in health["detail"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": ""}, "name empty"),
        ({"name": "n" * 201}, "name 201"),
        ({"cron": "0 0 30 2 *"}, "never"),
        ({"cron": "0 0 31 4,6,9,11 *"}, "never"),
        ({"kind": ""}, "kind empty"),
        ({"missed": "some"}, "missed some"),
        ({"missed": None}, "missed"),
        ({"time_zone": "Mars/Olympus"}, "time_zone Mars/Olympus"),
        ({"priority": 40000}, "priority 40000"),
        ({"priority": None}, "priority null"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"timeout": "-1 s"}, "timeout"),
        ({"heartbeat": "0"}, "heartbeat"),
        ({"args": Jsonb([])}, "args array"),
        ({"args": None}, "args null"),
        ({"headers": Jsonb("x")}, "headers"),
        ({"backoff": {"base": -1}}, "backoff"),
        ({"starts_at": "infinity"}, "starts_at"),
        ({"ends_at": "infinity"}, "ends_at"),
        ({"starts_at": NOON, "ends_at": NOON}, "ends_at starts_at"),
        ({"unique_by": ["a"], "unique_key": "u"}, "unique_by unique_key"),
        ({"unique_by": [None]}, "unique_by null"),
        ({"unique_until": "start"}, "unique_until"),
        ({"unique_key": "u", "unique_until": "noon"}, "unique_until noon"),
        ({"unique_key": "u", "unique_until": "start", "unique_for": "1 h"}, "unique_until unique_for"),
        ({"unique_key": "u", "unique_for": "-1 h"}, "unique_for"),
        ({"on_duplicate": "raise"}, "on_duplicate"),
        ({"unique_key": "u", "on_duplicate": "panic"}, "on_duplicate panic"),
        ({"on_success": Jsonb(1)}, "on_success number"),
        ({"on_error": {"args": {}}}, "on_error kind"),
        ({"on_error": {"kind": "k", "depends_on": [1]}}, "on_error depends_on"),
    ],
)
def test_what_cannot_be_is_refused_at_once(q: Caller, options: dict[str, Any], words: str) -> None:
    with refused(q, "PQ001", *words.split()):
        q("schedule", **{"name": "s", "cron": "@daily", "kind": "k", **options})


@pytest.mark.parametrize("function", ["pause_schedule", "resume_schedule", "run_schedule"])
def test_an_unknown_schedule_is_refused(q: Caller, function: str) -> None:
    with refused(q, "PQ002", "no schedule", "'nobody'"):
        q(function, name="nobody")
    with refused(q, "PQ001", "name"):
        q(function, name=None)


# Several sessions


def beside(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def is_blocked(q: Caller, other: Caller) -> bool:
    return bool(q.sql("select pg_blocking_pids(%s) <> '{}'", other.connection.info.backend_pid)[0][0])


def test_two_leaders_at_once_make_one_job_a_tick(q: Caller, session: Callable[[], Caller]) -> None:
    """Without the lock of maintain, which would let only one of them work: the rows are enough."""
    for name in ("a", "b"):
        put(q, name=name)
    one, two = session(), session()
    for caller in (q, one, two):
        clock(caller, "12:05:00")
    with one.connection.transaction():
        assert one.sql("select pgqueue._duty_schedules()") == [(2,)]
        assert two.sql("select pgqueue._duty_schedules()") == [(0,)]
    assert two.sql("select pgqueue._duty_schedules()") == [(0,)]
    assert ticks(q, "a") == ticks(q, "b") == ["12:05:00"]


def test_many_leaders_make_one_job_a_tick(q: Caller, session: Callable[[], Caller]) -> None:
    put(q, "every 1 second", missed="all")
    leaders = [session() for _ in range(4)]
    for leader in leaders:
        clock(leader, "12:10:00")

    def lead(leader: Caller) -> None:
        for _ in range(8):
            leader.sql("select pgqueue._duty_schedules()")

    for thread in [beside(lambda leader=leader: lead(leader)) for leader in leaders]:  # type: ignore[misc]
        thread.join()
    clock(q, "12:10:00")
    while upkeep(q):
        pass
    made = ticks(q)
    assert len(made) == len(set(made)) == 600


def test_a_pass_that_is_rolled_back_owes_its_ticks(q: Caller) -> None:
    put(q)
    clock(q, "12:05:00")
    with pytest.raises(ZeroDivisionError), q.connection.transaction():
        upkeep(q)
        raise ZeroDivisionError
    assert ticks(q) == []
    assert upkeep(q) == 1


def test_upkeep_passes_by_what_an_operator_has_in_hand(q: Caller, session: Callable[[], Caller]) -> None:
    for name in ("a", "b"):
        put(q, name=name)
    operator = session()
    for caller in (q, operator):
        clock(caller, "12:05:00")
    with operator.connection.transaction():
        put(operator, name="a", args={"new": True})
        put(operator, name="new")
        assert upkeep(q) == 1
    assert upkeep(q) == 1
    assert q.one("job", id=shown(q, "a")["last_job"])["args"] == {"new": True}


def test_a_schedule_removed_under_way_has_run_once_or_not_at_all(q: Caller, session: Callable[[], Caller]) -> None:
    put(q)
    operator = session()
    clock(q, "12:05:00")
    with q.connection.transaction():
        assert upkeep(q) == 1
        thread = beside(lambda: operator("unschedule", name="s"))
        wait_for(lambda: is_blocked(q, operator), "the removal to wait for the pass")
    thread.join()
    assert q("schedules") == []
    assert ticks(q) == ["12:05:00"]


def test_two_who_make_the_same_schedule_meet(q: Caller, session: Callable[[], Caller]) -> None:
    other, answers = session(), []
    clock(other, "12:00:00")
    with q.connection.transaction():
        put(q)
        thread = beside(lambda: answers.append(put(other, args={"n": 2})))
        wait_for(lambda: is_blocked(q, other), "the second to wait for the first")
    thread.join()
    assert answers == [{"changed": True, "next_run": at("12:05")}]
    assert shown(q)["args"] == {"n": 2}


def test_a_key_that_is_just_being_taken_holds_up_nobody_for_long(q: Caller, session: Callable[[], Caller]) -> None:
    put(q, name="a", unique_key="u")
    put(q, name="b")
    user = session()
    clock(q, "12:05:00")
    with user.connection.transaction():
        user.enqueue(unique_key="u")
        assert upkeep(q) == 1
    assert "lock timeout" in shown(q, "a")["last_error"]
    clock(q, "12:05:15")
    upkeep(q)
    assert (shown(q, "a")["last_error"], shown(q, "a")["next_run"]) == (None, at("12:10"))


# What programs declare


def sync(q: Caller, *declared: Any, app: str = "shop") -> dict[str | None, str]:
    rows = q("sync_schedules", app=app, declared=Jsonb(list(declared)))
    assert all((row["error"] is not None) == (row["action"] == "refused") for row in rows)
    return {row["name"]: row["action"] for row in rows}


def declared(name: str = "s", **options: Any) -> dict[str, Any]:
    return {"name": name, "cron": "*/5 * * * *", "kind": "k", **options}


def test_declarations_come_change_and_go(q: Caller) -> None:
    assert sync(q, declared("a", timeout=90, args={"n": 1}), declared("b")) == {"a": "added", "b": "added"}
    assert (shown(q, "a")["timeout"].total_seconds(), shown(q, "a")["declared_by"]) == (90, "shop")
    assert sync(q, declared("b"), declared("a", timeout=90, args={"n": 1})) == {"a": "unchanged", "b": "unchanged"}
    assert sync(q, declared("a", cron="@daily")) == {"a": "changed", "b": "removed"}
    assert [row["name"] for row in q("schedules")] == ["a"]
    assert sync(q, app="other") == {}
    assert sync(q) == {"a": "removed"}


def test_all_options_can_be_declared(q: Caller) -> None:
    given = declared(
        unique_by=["a"], unique_for=90, on_duplicate="raise", on_success={"kind": "x"}, on_error=[{"kind": "y"}]
    )
    assert sync(q, given) == {"s": "added"}
    assert sync(q, given) == {"s": "unchanged"}
    row = shown(q)
    assert (row["unique_by"], row["unique_for"].total_seconds(), row["on_duplicate"]) == (["a"], 90, "raise")
    assert (row["on_success"], row["on_error"]) == ({"kind": "x"}, [{"kind": "y"}])
    assert sync(q, {**given, "unique_by": ["b"]}) == {"s": "changed"}


def test_what_operators_do_survives_a_start(q: Caller) -> None:
    sync(q, declared())
    q("pause_schedule", name="s")
    put(q, "@daily")
    assert sync(q, declared()) == {"s": "unchanged"}
    assert (shown(q)["cron"], shown(q)["paused"], shown(q)["declared_by"]) == ("@daily", True, "shop")
    assert sync(q, declared(cron="@weekly")) == {"s": "changed"}
    assert (shown(q)["cron"], shown(q)["paused"], shown(q)["next_run"]) == ("@weekly", True, None)


def test_what_others_have_made_is_theirs(q: Caller) -> None:
    put(q, name="by hand")
    sync(q, declared("theirs"), app="other")
    before = q("schedules")
    assert sync(q, declared("by hand"), declared("theirs")) == {"by hand": "refused", "theirs": "refused"}
    assert sync(q) == {}
    assert q("schedules") == before


@pytest.mark.parametrize(
    "bad",
    [
        declared(cron="99 * * * *"),
        declared(color="red"),
        declared(timeout="soon"),
        declared(priority="high"),
        declared(unique_by="a"),
        declared(on_duplicate="raise"),
        declared(depends_on=[1]),
        declared(on_success=[{"kind": ""}]),
        {"name": "s", "refused": "ValueError: no"},
        {"name": "s"},
    ],
)
def test_a_bad_declaration_leaves_what_was_there_and_stops_no_other(q: Caller, bad: dict[str, Any]) -> None:
    sync(q, declared())
    before = shown(q)
    assert sync(q, declared("a"), bad, declared("z")) == {"a": "added", "s": "refused", "z": "added"}
    assert shown(q) == before


def test_a_declaration_without_a_name_or_of_a_name_that_is_taken_is_refused(q: Caller) -> None:
    sync(q, declared("gone"))
    rows = q("sync_schedules", app="shop", declared=Jsonb([7, {"cron": "@daily"}, declared(), declared(cron="@daily")]))
    assert sorted((str(row["name"]), row["action"]) for row in rows) == [
        ("None", "refused"),
        ("None", "refused"),
        ("gone", "removed"),
        ("s", "added"),
        ("s", "refused"),
    ]
    assert shown(q)["cron"] == "*/5 * * * *"


@pytest.mark.parametrize(("app", "given"), [("", []), (None, []), ("a", {}), ("a", 1), ("a" * 201, [])])
def test_a_bad_call_is_refused(q: Caller, app: str | None, given: Any) -> None:
    with refused(q, "PQ001"):
        q("sync_schedules", app=app, declared=Jsonb(given))


def test_workers_that_start_together_declare_once(q: Caller, session: Callable[[], Caller]) -> None:
    everything = [declared(name) for name in "abcdefgh"]
    callers, answers = [session() for _ in range(4)], []
    threads = [
        beside(lambda caller=caller: answers.append(sync(caller, *everything)))  # type: ignore[misc]
        for caller in callers
    ]
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    for name in "abcdefgh":
        assert sorted(answer[name] for answer in answers) == ["added", "unchanged", "unchanged", "unchanged"]


# Rights


def test_operators_schedule_readers_look_and_workers_declare(q: Caller) -> None:
    def may(role: str, call: str) -> bool:
        with q.connection.transaction(force_rollback=True):
            q.sql(f"set local role pgqueue_{role}")
            try:
                q.sql(f"select * from pgqueue.{call}")
            except psycopg.errors.InsufficientPrivilege:
                return False
            return True

    put(q)
    for call, roles in {
        "schedule('t', '@daily', 'k')": {"operator"},
        "pause_schedule('s')": {"operator"},
        "run_schedule('s')": {"operator"},
        "unschedule('s')": {"operator"},
        "schedules()": {"operator", "reader"},
        "next_runs('@daily')": {"operator", "reader"},
        "sync_schedules('a', '[]')": {"operator", "worker"},
    }.items():
        assert {role for role in ("producer", "worker", "operator", "reader") if may(role, call)} == roles, call

"""enqueue, jobs, job …, queues, queue …, workers, maintain on a real database."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pgqueue import Client
from tests.cli.conftest import Run

ODD = 'o\'brien "x"; drop table job; -- 🦆 %s {}'


@pytest.fixture
def client(pg: Any) -> Client:
    return Client(connection=pg.connect())


def fail(client: Client, id: int, queue: str = "default") -> None:
    """Run one job as a worker whose handler raises, its attempts used up."""
    worker = client.register_worker(name="w", queues=[queue])
    (job,) = client.claim(worker=worker, queues=[queue], n=1)
    assert job.id == id
    error = {"type": "ValueError", "message": ODD, "traceback": "Traceback …\n  line two \x1b[31m\nValueError: no"}
    assert client.settle(leases=[job.lease], jobs=[job.id], outcomes=["discard"], errors=[json.dumps(error)]) == []


def succeed(client: Client, result: object, queue: str = "default") -> None:
    worker = client.register_worker(name="w", queues=[queue])
    (job,) = client.claim(worker=worker, queues=[queue], n=1)
    assert client.settle(leases=[job.lease], jobs=[job.id], outcomes=["succeeded"], results=[json.dumps(result)]) == []


def test_what_is_sealed_is_shown_to_be(on: Run, client: Client) -> None:
    sealed = {"$sealed": "c2VjcmV0", "codec": "k1"}
    id = client.enqueue("k", sealed).id
    succeed(client, sealed)
    shown = on("job", "show", id)
    assert shown.out.count("sealed with the codec 'k1'") == 2
    assert "c2VjcmV0" not in shown.out
    assert on("job", "wait", id).out == f"job {id} succeeded: sealed with the codec 'k1'\n"
    told = on("job", "show", id, "--json").json
    assert told["args"] == told["result"] == sealed


def test_what_is_enqueued_is_shown_as_it_was_given(on: Run) -> None:
    made = on(
        "enqueue",
        ODD,
        f"text={ODD}",
        "n=3",
        "--queue",
        ODD,
        "--priority",
        "7",
        "--unique-key",
        ODD,
        "--max-attempts",
        "2",
        "--json",
    )
    assert (made.code, made.json["created"]) == (0, True)
    shown = on("job", "show", made.json["id"], "--json").json
    assert shown["kind"] == shown["queue"] == shown["unique_key"] == ODD
    assert (shown["args"], shown["priority"], shown["max_attempts"], shown["state"]) == (
        {"text": ODD, "n": 3},
        7,
        2,
        "queued",
    )
    assert shown["attempts"] == []
    again = on("enqueue", ODD, "--queue", ODD, "--unique-key", ODD, "--json").json
    assert again == {"id": made.json["id"], "created": False}


def test_arguments_come_from_an_option_a_file_or_stdin(on: Run, tmp_path: Any) -> None:
    (tmp_path / "args.json").write_text('{"from": "file 🦆"}')
    ids = [
        on("enqueue", "k", "--args", '{"from": "option"}', "--json").json["id"],
        on("enqueue", "k", "--args", f"@{tmp_path / 'args.json'}", "--json").json["id"],
        on("enqueue", "k", "--args", "-", "--json", input='{"from": "stdin"}').json["id"],
    ]
    assert [on("job", "show", id, "--json").json["args"]["from"] for id in ids] == ["option", "file 🦆", "stdin"]


def test_times_given_reach_the_job(on: Run) -> None:
    later = on("enqueue", "k", "--run-at", "2090-01-01T12:00+02:00", "--job-timeout", "1m30s", "--json").json["id"]
    shown = on("job", "show", later, "--json").json
    assert (shown["state"], shown["run_at"][:16], shown["timeout"]) == ("scheduled", "2090-01-01T10:00", 90.0)
    assert (
        on("job", "show", on("enqueue", "k", "--delay", "2h", "--json").json["id"], "--json").json["state"]
        == "scheduled"
    )
    assert "2090" in on("job", "why", later).out


def test_jobs_are_listed_by_page_and_by_filter(on: Run, client: Client) -> None:
    ids = [job.id for job in client.enqueue_each("a", [{}] * 5, queue="q")]
    client.enqueue("b", {}, queue="other")
    page = on("jobs", "--queue", "q", "--max", "2", "--json").lines
    assert [job["id"] for job in page] == ids[:-3:-1]
    assert [job["id"] for job in on("jobs", "--queue", "q", "--before", page[-1]["id"], "--json").lines] == ids[-3::-1]
    assert [job["kind"] for job in on("jobs", "--kind", "b", "--json").lines] == ["b"]
    assert on("jobs", "--state", "failed").out == ""
    human = on("jobs", "--queue", "q", "--max", "2")
    assert human.out.splitlines()[0].split()[:4] == ["ID", "QUEUE", "KIND", "STATE"]
    assert f"--before {page[-1]['id']}" in human.err


def test_a_failed_job_shows_its_errors_and_runs_again(on: Run, client: Client) -> None:
    id = client.enqueue("k").id
    fail(client, id)
    human = on("job", "show", id)
    assert f"job {id} failed (error)" in human.out
    assert "ValueError: no" in human.out
    assert "\x1b[31m" not in human.out
    shown = on("job", "show", id, "--json").json
    assert (shown["reason"], shown["attempts"][0]["error"]["message"]) == ("error", ODD)
    waited = on("job", "wait", id)
    assert (waited.code, "ValueError" in waited.out) == (1, True)
    assert on("job", "retry", id).code == 0
    assert on("job", "show", id, "--json").json["state"] == "queued"


def test_cancel_and_retry_go_on_after_a_refusal_and_say_so(on: Run, client: Client) -> None:
    ids = [job.id for job in client.enqueue_each("k", [{}, {}])]
    said = on("job", "cancel", ids[0], 999_999, ids[1], "--why", ODD, "--json")
    assert said.code == 1
    assert [(line["id"], line["state"], line["changed"]) for line in said.lines] == [
        (id, "cancelled", True) for id in ids
    ]
    assert "999999" in said.err
    assert "hint:" in said.err
    assert on("job", "cancel", ids[0]).code == 1
    assert on("job", "retry", *ids).code == 0
    assert on("job", "retry", ids[0]).code == 1


def test_waiting_prints_the_result(on: Run, client: Client) -> None:
    id = client.enqueue("k").id
    late = on("job", "wait", id, "--timeout", "50ms", "--json")
    assert (late.code, late.json["state"]) == (1, "queued")
    succeed(client, {"n": 1, "odd": ODD})
    done = on("job", "wait", id, "--json")
    assert (done.code, done.json) == (
        0,
        {"id": id, "state": "succeeded", "reason": None, "result": {"n": 1, "odd": ODD}, "error": None},
    )
    assert (
        on("job", "wait", id).out
        == f"job {id} succeeded: " + json.dumps({"n": 1, "odd": ODD}, ensure_ascii=False) + "\n"
    )


def test_enqueue_can_wait(on: Run) -> None:
    said = on("enqueue", "k", "--wait", "--timeout", "50ms")
    assert said.code == 1
    assert "has not ended in time: queued" in said.out


@pytest.mark.parametrize("command", ["show", "why", "wait", "cancel", "retry"])
def test_a_job_that_is_not_there_is_an_answer_not_a_crash(command: str, on: Run) -> None:
    said = on("job", command, 999_999)
    assert said.code == 1
    assert "999999" in said.err
    assert "hint:" in said.err


@pytest.mark.parametrize("id", ["0", "-1", "x", "1.5", "99999999999999999999", "1;select"])
def test_an_id_that_cannot_be_one_is_wrong_usage(id: str, on: Run) -> None:
    assert on("job", "show", "--", id).code == 2


def test_queues_are_listed_paused_resumed_and_set(on: Run, client: Client) -> None:
    client.enqueue_each("k", [{}, {}], queue=ODD)
    assert on("queue", "pause", ODD, "--json").json == {"queue": ODD, "paused": True, "changed": True}
    assert on("queue", "pause", ODD, "--json").json["changed"] is False
    (found,) = [line for line in on("queues", "--json").lines if line["queue"] != "scripts"]
    assert (found["queue"], found["queued"], found["paused"]) == (ODD, 2, True)
    assert "paused" in on("queues").out
    assert on("queue", "resume", ODD).code == 0
    settings = on("queue", "set", ODD, "max_running=3", "timeout=5 minutes", "history=failed", "--json").json[
        "settings"
    ]
    assert (settings["max_running"], settings["history"]) == (3, "failed")
    assert on("queue", "set", ODD, "max_running=null", "--json").json["settings"].get("max_running") is None
    assert on("queue", "set", ODD, "--json").json["settings"]["history"] == "failed"


def test_groups_are_listed_set_and_let_go(on: Run, client: Client) -> None:
    client.configure_queue("q", {"group_limit": 1, "group_failure": "block"})
    fail(client, client.enqueue("k", queue="q", group_key=ODD).id, "q")
    client.enqueue("k", queue="q", group_key=ODD)
    assert on("queue", "set-group", "q", ODD, "weight=3", "--json").json["settings"] == {"weight": 3}
    (found,) = on("queue", "groups", "q", "--json").lines
    assert (found["group_key"], found["waiting"], found["blocked_by"]) == (ODD, 1, 1)
    assert on("queue", "groups", "q", "--after", ODD, "--json").lines == []
    assert "BLOCKED BY" in on("queue", "groups", "q").out
    assert on("queue", "unblock", "q", ODD, "--json").json["changed"] is True
    assert "was not blocked" in on("queue", "unblock", "q", ODD).out
    assert on("queue", "set-group", "q", ODD, "weight=null", "--json").json["settings"] == {}


@pytest.mark.parametrize(
    "pair", ["nonsense=1", "max_running=-1", "history=sometimes", "timeout=soon", f"retention={ODD}"]
)
def test_a_setting_that_cannot_be_is_refused_with_what_can(pair: str, on: Run) -> None:
    said = on("queue", "set", "q", pair)
    assert said.code == 2
    assert "hint:" in said.err


def test_workers_and_upkeep(on: Run, client: Client) -> None:
    assert on("workers").out == ""
    client.register_worker(name=ODD, queues=["a", ODD], concurrency=3, info={"pid": 7, "host": "h"})
    (worker,) = on("workers", "--json").lines
    assert (worker["name"], worker["queues"], worker["concurrency"], worker["lost"]) == (ODD, ["a", ODD], 3, False)
    assert ODD in on("workers").out
    duties = on("maintain", "--json").lines
    assert {d["duty"] for d in duties} >= {"rescue", "promote", "expire"}
    assert all(d["error"] is None for d in duties)
    assert [d["duty"] for d in on("maintain", "--duty", "promote", "--duty", "rescue", "--json").lines] == [
        "rescue",
        "promote",
    ]
    assert on("maintain", "--duty", "nonsense").code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("enqueue",),
        ("enqueue", ""),
        ("enqueue", "k", "word"),
        ("enqueue", "k", "a=1", "--args", "{}"),
        ("enqueue", "k", "--args", "[1]"),
        ("enqueue", "k", "--priority", "32768"),
        ("enqueue", "k", "--delay", "-5"),
        ("enqueue", "k", "--delay", "1m", "--run-at", "2090-01-01"),
        ("enqueue", "k", "--run-at", "infinity"),
        ("enqueue", "k", "--max-attempts", "0"),
        ("enqueue", "x" * 201),
        ("enqueue", "k", "--unique-key", "x" * 501),
        ("enqueue", "k", "--args", '{"a": "\\u0000"}'),
        ("enqueue", "k", "--queue", ""),
        ("jobs", "--state", "sleeping"),
        ("jobs", "--max", "0"),
        ("queue", "pause", ""),
    ],
)
def test_wrong_arguments_store_nothing_and_say_why(arguments: tuple[str, ...], on: Run, client: Client) -> None:
    said = on(*arguments)
    assert said.code == 2, said
    assert said.out == ""
    assert said.err
    assert "Traceback" not in said.err
    assert client.jobs() == []

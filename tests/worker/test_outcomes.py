"""How a handler may end, and what becomes of its job."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.worker.harness import Inside, Jobs, until
from tests.worker.tasks import app

if TYPE_CHECKING:
    from tests.support.cluster import Database


@pytest.mark.parametrize("kind", ["add", "sync_add"])
def test_success_with_result(pg: Database, jobs: Jobs, kind: str) -> None:
    id = jobs.add(kind, {"a": 2, "b": 3})
    with Inside(app, pg.dsn):
        job = jobs.until(id, "succeeded")
    assert job["result"] == 5
    assert job["attempt"] == 1


def test_result_survives_every_character(pg: Database, jobs: Jobs) -> None:
    id = jobs.add("outcome", {"what": "echo"})
    with Inside(app, pg.dsn):
        job = jobs.until(id, "succeeded")
    assert job["result"] == {"text": 'quotes " and \\ and {braces}, NULL, \u00e9\U0001f600', "none": None}


@pytest.mark.parametrize("kind", ["fail", "sync_fail"])
def test_raising_fails_with_the_error_kept(pg: Database, jobs: Jobs, kind: str) -> None:
    id = jobs.add(kind, {"message": "broken \0 \ud800"[:7]}, max_attempts=1)
    with Inside(app, pg.dsn):
        job = jobs.until(id, "failed")
    assert job["reason"] == "error"
    assert job["error"]["type"] == "ValueError"
    assert job["error"]["message"] == "broken "
    assert "raise ValueError(message)" in job["error"]["traceback"]
    ((attempt, error),) = jobs.connection.execute("select attempt, error from pgqueue.attempts(%s)", (id,)).fetchall()
    assert attempt == 1
    assert error["type"] == "ValueError"


@pytest.mark.parametrize("kind", ["leave", "sync_leave"])
def test_a_handler_cannot_end_the_process(pg: Database, jobs: Jobs, kind: str) -> None:
    id = jobs.add(kind, {"code": 3}, max_attempts=1)
    with Inside(app, pg.dsn):
        assert jobs.until(id, "failed")["error"]["type"] == "SystemExit"


def test_retries_until_it_succeeds(pg: Database, jobs: Jobs) -> None:
    id = jobs.add("flaky", {"good_at": 3}, backoff=json.dumps({"strategy": "constant", "base": 0.05, "jitter": 0}))
    with Inside(app, pg.dsn):
        job = jobs.until(id, "succeeded")
    assert job["result"] == 3
    assert [row[0] for row in jobs.connection.execute("select attempt from pgqueue.attempts(%s)", (id,))] == [1, 2]


def test_retries_end_with_the_attempts(pg: Database, jobs: Jobs) -> None:
    policy = json.dumps({"strategy": "constant", "base": 0, "jitter": 0})
    id = jobs.add("fail", max_attempts=3, backoff=policy)
    with Inside(app, pg.dsn) as worker:
        job = jobs.until(id, "failed")
        assert len(worker.seen("job_ended", job_id=id)) == 3
    assert (job["attempt"], job["reason"]) == (3, "error")


@pytest.mark.parametrize(
    ("what", "state", "reason"),
    [("cancel", "cancelled", "cancelled_by_worker"), ("discard", "failed", "error"), ("retry", "failed", "error")],
)
def test_outcomes_as_values(pg: Database, jobs: Jobs, what: str, state: str, reason: str) -> None:
    id = jobs.add("outcome", {"what": what}, max_attempts=1)
    with Inside(app, pg.dsn):
        jobs.until(id, state)
    assert jobs.state(id) == (state, reason)


def test_discard_spends_no_further_attempt(pg: Database, jobs: Jobs) -> None:
    id = jobs.add("outcome", {"what": "discard"}, max_attempts=5)
    with Inside(app, pg.dsn) as worker:
        job = jobs.until(id, "failed")
        assert len(worker.seen("job_ended", job_id=id)) == 1
    assert job["error"]["message"] == "hopeless"


def test_snooze_spends_no_attempt(pg: Database, jobs: Jobs) -> None:
    id = jobs.add("outcome", {"what": "snooze", "delay": 0.05}, max_attempts=1)
    with Inside(app, pg.dsn) as worker:
        job = jobs.until(id, "succeeded")
        assert [e.facts["outcome"] for e in worker.seen("job_ended", job_id=id)] == ["snooze", "succeeded"]
    assert (job["result"], job["attempt"]) == ("rested", 1)


@pytest.mark.parametrize(
    ("kind", "args"),
    [("outcome", {"what": "set"}), ("outcome", {"what": "nul"}), ("outcome", {"what": "nan"}), ("sync_set", {})],
)
def test_a_result_json_cannot_carry_fails_clearly(pg: Database, jobs: Jobs, kind: str, args: dict[str, Any]) -> None:
    good = jobs.add("add", {"a": 1, "b": 1})
    id = jobs.add(kind, args, max_attempts=5)
    with Inside(app, pg.dsn) as worker:
        job = jobs.until(id, "failed")
        assert len(worker.seen("job_ended", job_id=id)) == 1
        jobs.until(good, "succeeded")
    assert job["error"]["type"] == "pgqueue.errors.NotSerialisable"
    assert f"the result of task '{kind}'" in job["error"]["message"]


def test_unknown_kind_fails_naming_what_is_known(pg: Database, jobs: Jobs) -> None:
    id = jobs.add("no such kind", max_attempts=1)
    with Inside(app, pg.dsn):
        job = jobs.until(id, "failed")
    assert job["error"]["type"] == "pgqueue.errors.UnknownTask"
    assert "'no such kind'" in job["error"]["message"]
    assert "sync_add" in job["error"]["message"]


@pytest.mark.parametrize("kind", ["add", "sync_add"])
@pytest.mark.parametrize("args", [{"a": 1}, {"a": 1, "b": 2, "c": 3}])
def test_args_that_do_not_fit(pg: Database, jobs: Jobs, kind: str, args: dict[str, int]) -> None:
    id = jobs.add(kind, args, max_attempts=1)
    with Inside(app, pg.dsn):
        job = jobs.until(id, "failed")
    assert job["error"]["type"] == "pgqueue.errors.InvalidArgument"
    assert f"task '{kind}'" in job["error"]["message"]


def test_args_that_cannot_be_decoded_fail_their_own_job_only(pg: Database, jobs: Jobs) -> None:
    deep = '{"a": ' + "[" * 3000 + "]" * 3000 + ', "b": 1}'
    query = "select id from pgqueue.enqueue('add', %s::jsonb, max_attempts => 1)"
    id = jobs.one(query, deep)
    good = jobs.add("add", {"a": 1, "b": 1})
    with Inside(app, pg.dsn):
        jobs.until(good, "succeeded")
        failed = "select a.error ->> 'type' from pgqueue.attempts(%s) a"
        until(lambda: jobs.connection.execute(failed, (id,)).fetchall() == [("RecursionError",)], "the failed attempt")


def test_mixed_batch_ends_exactly(pg: Database, jobs: Jobs) -> None:
    for _ in range(40):
        jobs.add("add", {"a": 1, "b": 1})
        jobs.add("sync_add", {"a": 1, "b": 1})
        jobs.add("fail", max_attempts=1)
        jobs.add("outcome", {"what": "cancel"})
        jobs.add("outcome", {"what": "set"})
    with Inside(app, pg.dsn, drain=True) as worker:
        ended = worker.join()
    assert ended is not None
    assert (ended.why, ended.jobs, ended.exit_code) == ("drained", 200, 0)
    assert jobs.counts() == {"succeeded": 80, "failed": 80, "cancelled": 40}
    assert jobs.one("select count(*) from pgqueue.lease") == 0

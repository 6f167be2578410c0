"""Queries and scripts that wait for jobs, and what follows them, from Python."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

import pgqueue
from pgqueue import App, AsyncClient, Client, Context, InvalidArgument, JobFailed, ScriptFailed, UnknownJob
from tests.support.cluster import Database
from tests.worker.harness import Inside
from tests.worker.hooksapp import Reverse

QUEUES = ["default", "scripts", "queries"]


@pytest.fixture
def app(pg: Database) -> Iterator[App]:
    app = App(pg.dsn)

    @app.task
    def load(rows: int) -> int:
        with pg.connect() as connection:
            connection.execute("insert into sales select n from generate_series(1, %s) n", [rows])
        return rows

    @app.task(max_attempts=1)
    def fail() -> None:
        raise LookupError("nothing there")

    @app.task
    def mail(about: dict[str, Any], to: str = "ada") -> str:
        return f"{to}: {about}"

    @app.task
    def read(context: Context) -> list[list[Any]]:
        """The rows of the queries it comes after."""
        with Client(pg.dsn) as client:
            return [list(client.query_handle(parent.id).rows()) for parent in context.parents()]

    with pg.connect() as connection:
        connection.execute("create table sales (n int)")
    yield app
    app.close()


@pytest.fixture
def worker(app: App, pg: Database) -> Iterator[Inside]:
    with Inside(app, pg.dsn, queues=QUEUES) as worker:
        yield worker


def test_a_query_after_a_job_and_a_job_after_a_query(app: App, worker: Inside) -> None:
    load, read = app.tasks["load"], app.tasks["read"]
    loaded = load.enqueue(3)
    query = app.client.query("select sum(n), $1 from sales", [7], depends_on=loaded)
    other = app.client.query("select n from sales order by n", depends_on=[loaded, query.id])
    report = read.options(depends_on=[query, other]).enqueue()
    assert report.result(30) == [[[6, "7"]], [[1], [2], [3]]]
    assert list(query) == [(6, "7")]
    assert query.created


def test_a_job_is_given_the_counts_of_a_query(app: App, worker: Inside) -> None:
    query = app.client.query("select generate_series(1, 3)", on_success=[])
    mailed = app.tasks["mail"].options(depends_on=query).enqueue(pgqueue.result)
    assert "'rows': 3" in mailed.result(30)


def test_a_job_is_given_the_report_of_a_script(app: App, worker: Inside) -> None:
    script = app.client.script(["insert into sales values (1)", {"query": "select 1", "onerror": "select 2"}])
    mailed = app.tasks["mail"].options(depends_on=script).enqueue(pgqueue.result)
    said = mailed.result(30)
    assert f"'id': {script.id}" in said
    assert "'fallback_status': 'skipped'" in said
    assert "insert" not in said


@pytest.mark.parametrize("room", ["query", "script"])
def test_calls_that_follow(app: App, worker: Inside, room: str) -> None:
    mail = app.tasks["mail"]
    follow: dict[str, Any] = {
        "on_success": mail.s(pgqueue.result, to="bob"),
        "on_error": [mail.s(pgqueue.error, to="eve")],
    }
    for statement, to, word in (
        ("select 1", "bob", "'rows': 1" if room == "query" else "'status': 'succeeded'"),
        ("select 1/0", "eve", "division by zero"),
    ):
        handle: Any = getattr(app.client, room)(statement, **follow)
        with pytest.raises(JobFailed) if to == "eve" else nullcontext():
            handle.wait(30)
        (job,) = [job.id for job in app.client.jobs(kind="mail") if job.id > handle.id]
        result = app.client.results().wait(job, 30).result
        assert isinstance(result, str)
        assert result.startswith(f"{to}: ")
        assert word in result


def test_documents_do_as_well(app: App, worker: Inside) -> None:
    query = app.client.query("select 1", on_success={"kind": "mail", "pass_as": "about"})
    query.wait(30)
    (job,) = app.client.jobs(kind="mail")
    assert app.client.job(job.id).args == {"about": {"rows": 1, "bytes": 2, "batches": 1, "command": "SELECT 1"}}


def test_a_parent_that_fails(app: App, worker: Inside) -> None:
    failed = app.tasks["fail"].enqueue()
    query = app.client.query("select 1", depends_on=failed)
    script = app.client.script("select 1", depends_on=[failed])
    runs = app.client.script("select 1", depends_on=[failed, query], on_parent_failure="run")
    with pytest.raises(JobFailed, match="parent_failed"):
        query.wait(30)
    with pytest.raises(ScriptFailed):
        script.wait(30)
    assert script.report()["queries"][0]["failed_reason"] == "a job that it waited for failed or was cancelled"
    assert runs.wait(30)["status"] == "succeeded"


def test_held(app: App) -> None:
    load = app.tasks["load"].enqueue(1)
    query = app.client.query("select 1", depends_on=load, wait_timeout=60)
    script = app.client.script("select 1", depends_on=query)
    assert (query.status().state, script.status()) == ("held", "held")
    assert [line.status for line in app.client.scripts(state="held")] == ["held"]
    assert query.cancel().state == "cancelled"
    assert script.cancel()["status"] == "cancelled"


def test_async(app: App, worker: Inside, pg: Database) -> None:
    async def main() -> list[tuple[Any, ...]]:
        async with AsyncClient(pg.dsn) as client:
            loaded = await app.tasks["load"].aenqueue(2)
            script = await client.script("insert into sales values (40)", depends_on=loaded)
            query = await client.query("select sum(n) from sales", depends_on=[script])
            return [row async for row in query]

    assert asyncio.run(main()) == [(43,)]


def test_on_a_connection_of_the_callers(app: App, pg: Database) -> None:
    """In its transaction, with the job it waits for."""
    with pg.connect(autocommit=False) as connection:
        loaded = app.tasks["load"].on(connection).enqueue(1)
        query = Client(connection=connection).query("select 1", depends_on=loaded)
        connection.rollback()
    with pytest.raises(UnknownJob):
        app.client.query_status(query.id)


@pytest.mark.parametrize(
    "bad",
    [{"depends_on": "7"}, {"depends_on": [None]}, {"on_success": "mail"}, {"on_error": [1]}, {"on_success": [{}]}],
)
@pytest.mark.parametrize("room", ["query", "script"])
def test_bad_options(app: App, room: str, bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        getattr(app.client, room)("select 1", **bad)
    assert app.client.jobs() == []


def test_max_age_is_refused(app: App) -> None:
    with pytest.raises(InvalidArgument, match="max_age"):
        app.client.query("select 1", on_success={"kind": "mail"}, max_age=60)


def test_placeholders_are_checked(app: App) -> None:
    with pytest.raises(InvalidArgument, match="on_success"):
        app.client.query("select 1", on_success=app.tasks["mail"].s(pgqueue.error))


def test_with_a_codec_and_middleware(pg: Database) -> None:
    """What queries give is plain, what tasks are given is sealed: they meet in the handler."""
    app = App(pg.dsn, codec=Reverse())

    @app.task
    def mail(about: dict[str, Any], to: str) -> str:
        return f"{to}: {about['rows']}"

    with Inside(app, pg.dsn, queues=QUEUES):
        query = app.client.query("select 1", on_success=mail.s(pgqueue.result, to="ada"))
        mailed = mail.options(depends_on=query).enqueue(pgqueue.result, to="bob")
        assert mailed.result(30) == "bob: 1"
        (follow_up,) = [job.id for job in app.client.jobs(kind="mail") if job.id != mailed.id]
        result = app.client.results().wait(follow_up, 30)
        assert result.state == "succeeded"
    assert "ada" not in str(app.client.job(follow_up).args)
    app.close()

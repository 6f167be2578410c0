"""Script handles, and queries and scripts by the worker that people run."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from pgqueue import (
    App,
    AsyncClient,
    Client,
    Conflict,
    InvalidArgument,
    JobFailed,
    QueryFailed,
    ResultTimeout,
    ScriptFailed,
    UnknownJob,
)
from tests.support.cluster import Database, wait_for
from tests.worker.harness import Inside

QUEUES = ["scripts", "queries"]
HANG = "select pg_sleep(60)"


@pytest.fixture
def client(pg: Database) -> Iterator[Client]:
    with Client(pg.dsn) as client:
        yield client


@pytest.fixture
def worker(pg: Database) -> Iterator[Inside]:
    with Inside(App(pg.dsn), pg.dsn, queues=QUEUES) as worker:
        yield worker


def test_a_script_that_succeeds(client: Client, worker: Inside) -> None:
    script = client.script(
        ["create table t (n int)", {"query": "insert into t values (1)", "onsuccess": "insert into t values (2)"}]
    )
    report = script.wait(30)
    assert report == script.report()
    assert (report["id"], report["status"], script.status()) == (script.id, "succeeded", "succeeded")
    assert [(q["status"], q.get("fallback_status")) for q in report["queries"]] == [
        ("succeeded", None),
        ("succeeded", "succeeded"),
    ]
    with pytest.raises(Conflict):
        script.cancel()
    assert [(line.id, line.status, line.done) for line in client.scripts()] == [(script.id, "succeeded", 2)]


def test_a_script_that_fails(client: Client, worker: Inside) -> None:
    script = client.script({"query": ["select 1 / 0", "select 1"], "onerror": "create table failed as select 1"})
    with pytest.raises(ScriptFailed, match="division by zero") as raised:
        script.wait(30)
    error = raised.value
    assert (error.job_id, error.state, error.reason) == (script.id, "failed", "division by zero")
    assert [query["status"] for query in error.report["queries"]] == ["failed", "skipped"]
    assert error.report["fallback_status"] == "succeeded"  # the wait was for that, too
    assert str(error) == f"script {script.id} failed: division by zero"


def test_a_script_that_is_cancelled(client: Client, worker: Inside, pg: Database) -> None:
    script = client.script([HANG, "select 1"])
    wait_for(lambda: script.status() == "running", "the start")
    assert client.scripts_running()[0].ids == [script.id]
    assert [query["status"] for query in script.cancel("enough")["queries"]] == ["cancelled", "skipped"]
    with pytest.raises(ScriptFailed, match="cancelled"):
        script.wait(30)
    active = "select 1 from pg_stat_activity where application_name like 'pgqueue script%'"
    with pg.connect() as connection:
        wait_for(lambda: connection.execute(active).fetchone() is None, "the end of the backend")


def test_nobody_runs_it(client: Client) -> None:
    script = client.script("select 1", owner="ada", priority=3, settings={"work_mem": "8MB"})
    with pytest.raises(ResultTimeout, match=r"0\.05"):
        script.wait(0.05)
    assert script.status() == "queued"
    with pytest.raises(UnknownJob):
        client.script_handle(script.id, owner="eve").report()
    with pytest.raises(UnknownJob):
        client.script_handle(script.id, owner="eve").wait(5)
    assert client.script_handle(script.id, owner="ada").cancel()["status"] == "cancelled"


@pytest.mark.parametrize("document", ["", [], {}, {"query": []}, ["select 1", ""], [1], {"query": "a", "onerror": 5}])
def test_what_is_no_script(document: object, client: Client) -> None:
    with pytest.raises(InvalidArgument):
        client.script(document)  # type: ignore[arg-type]
    assert client.scripts() == []


def test_limits_of_an_owner(client: Client) -> None:
    assert client.configure_owner("ada", {"max_waiting": 1, "timeout": timedelta(seconds=5)})["max_waiting"] == 1
    client.script("select 1", owner="ada")
    with pytest.raises(Conflict):
        client.script("select 2", owner="ada")
    client.script("select 2", owner="bob")


def test_async_twins(pg: Database, worker: Inside) -> None:
    async def main() -> None:
        async with AsyncClient(pg.dsn) as client:
            good, bad = await client.script("select 1"), await client.script("select 1 / 0", owner="other")
            assert (await good.wait(30))["status"] == await good.status() == "succeeded"
            with pytest.raises(ScriptFailed):
                await bad.wait(30)
            late = await client.script(HANG)
            assert (await late.cancel())["status"] == "cancelled"
            assert (await client.script_handle(late.id).report())["status"] == "cancelled"

    asyncio.run(main())


# -- queries by the same worker -----------------------------------------------------------------------------------


def test_queries_done_by_a_worker(client: Client, worker: Inside) -> None:
    query = client.query("select n, n::text from generate_series(1, $1) n", [3000], batch_rows=1000)
    assert list(query.rows(30)) == [(n, str(n)) for n in range(1, 3001)]
    assert query.wait(30).batches == 3
    with pytest.raises(QueryFailed) as raised:
        client.query("select from nowhere").wait(30)
    assert (raised.value.sqlstate, raised.value.position) == ("42P01", 13)
    text = io.StringIO()
    assert client.query("select 'a,b' as x, null as y").to_csv(text, timeout=30) == 1
    assert text.getvalue() == 'x,y\n"a,b",\n'
    assert list(client.query("values (1), (2)").rows(30)) == [(1,), (2,)]
    assert list(client.query("create table made as select 1 as x").rows(30)) == []
    assert list(client.query("insert into made values (2) returning x").rows(30)) == [(2,)]
    assert list(client.query("show work_mem", settings={"work_mem": "77MB"}).rows(30)) == [("77MB",)]


@pytest.mark.slow
def test_a_query_that_is_stopped_while_rows_come(client: Client, worker: Inside) -> None:
    query = client.query("select n, pg_sleep(0.01) is null from generate_series(1, 100000) n", batch_rows=1)
    rows = query.rows(30)
    assert next(rows)[0] == 1
    threading.Timer(0.1, query.cancel).start()
    with pytest.raises(JobFailed) as raised:
        list(rows)
    assert raised.value.state == "cancelled"

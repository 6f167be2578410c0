"""Query handles, with a worker that does one step at a time."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from pgqueue import (
    App,
    AsyncClient,
    Client,
    Conflict,
    ConnectionLost,
    InvalidArgument,
    JobFailed,
    QueryFailed,
    ResultRestarted,
    ResultTimeout,
    ResultTooLarge,
    UnknownJob,
)
from pgqueue._async.client import AsyncQueryHandle
from tests.python.sqlwork import SqlWorker
from tests.support.cluster import Database, wait_for

NUMBERS = "select n, 'name ' || n as name from generate_series(1, 5) n"
FIVE = [(n, f"name {n}") for n in range(1, 6)]


@pytest.fixture
def worker(pg: Database) -> SqlWorker:
    return SqlWorker(pg)


@pytest.fixture
def client(pg: Database) -> Iterator[Client]:
    with Client(pg.dsn) as client:
        yield client


def test_the_result_in_every_form(client: Client, worker: SqlWorker, tmp_path: Path) -> None:
    query = client.query(NUMBERS)
    assert (query.created, query.reused, query.status().state) == (True, False, "queued")
    worker.run(rows=2)
    status = query.wait(10)
    assert (status.state, status.row_count, status.batches, status.is_final) == ("succeeded", 5, 3, True)
    assert [(c.name, c.type, c.type_oid) for c in query.columns()] == [("n", "integer", 23), ("name", "text", 25)]
    assert list(query) == list(query.rows()) == FIVE
    assert list(query.batches()) == [FIVE[:2], FIVE[2:4], FIVE[4:]]
    assert query.to_csv(tmp_path / "a.csv") == 5
    assert (tmp_path / "a.csv").read_bytes() == b"n,name\n" + b"".join(b"%d,name %d\n" % (n, n) for n in range(1, 6))
    assert query.to_json(tmp_path / "a.json") == 5
    assert json.loads((tmp_path / "a.json").read_text()) == [{"n": n, "name": name} for n, name in FIVE]
    assert query.to_arrow().to_pylist() == [{"n": n, "name": name} for n, name in FIVE]
    assert query.to_pandas()["n"].sum() == 15
    assert sum(batch.num_rows for batch in query.record_batches()) == 5


def test_files_of_text_and_of_bytes(client: Client, worker: SqlWorker) -> None:
    query = client.query("select 'ü' as x")
    worker.run()
    text, data = io.StringIO(), io.BytesIO()
    query.to_csv(text, header=False)
    query.to_csv(data, header=False)
    assert (text.getvalue(), data.getvalue()) == ("ü\n", "ü\n".encode())
    lines = io.StringIO()
    query.to_json(lines, lines=True)
    assert lines.getvalue() == '{"x": "ü"}\n'
    assert not text.closed
    assert not data.closed


@pytest.mark.parametrize(("module", "extra"), [("pyarrow", "arrow"), ("pandas", "pandas")])
def test_an_extra_that_is_not_installed(
    module: str, extra: str, client: Client, worker: SqlWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = client.query(NUMBERS)
    worker.run()
    pytest.importorskip("pyarrow").array(["x"])  # which looks for pandas once, and may not find it half hidden
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InvalidArgument, match=rf"{module} is not installed[^$]*\[{extra}\]"):
        query.to_pandas()


def test_a_result_without_rows_still_has_columns(client: Client, worker: SqlWorker) -> None:
    query = client.query("select 1 as a, 'x' as b where false")
    worker.run()
    text, document = io.StringIO(), io.StringIO()
    assert (query.to_csv(text), text.getvalue()) == (0, "a,b\n")
    assert (query.to_json(document), document.getvalue()) == (0, "[]\n")
    assert list(query.rows()) == list(query.batches()) == []
    assert query.to_arrow().column_names == list(query.to_pandas().columns) == ["a", "b"]


def test_a_command_has_no_columns(client: Client, worker: SqlWorker) -> None:
    query = client.query("create table made (x int)")
    run = worker.begin()
    run.session.execute(run.sql.encode())
    run.end("CREATE TABLE")
    assert query.wait(5).command == "CREATE TABLE"
    text = io.StringIO()
    assert (query.columns(), list(query), query.to_csv(text), text.getvalue()) == ([], [], 0, "")
    assert query.to_arrow().num_columns == 0


def test_rows_come_while_the_query_still_runs(client: Client, worker: SqlWorker) -> None:
    query = client.query(NUMBERS)
    run = worker.begin()
    run.put("1\tone", "2\ttwo")
    rows = query.rows(timeout=10)
    assert [next(rows), next(rows)] == [(1, "one"), (2, "two")]
    assert query.status().state == "running"
    threading.Timer(0.05, run.put, ["3\tthree"]).start()
    assert next(rows) == (3, "three")
    run.end()
    assert next(rows, None) is None


def test_columns_are_known_before_the_first_row(client: Client, worker: SqlWorker) -> None:
    query = client.query(NUMBERS)
    with pytest.raises(ResultTimeout):
        query.columns(timeout=0)
    run = worker.begin()
    assert [column.name for column in query.columns(timeout=10)] == ["n", "name"]
    run.end()


def test_parameters_are_values_of_python(client: Client, worker: SqlWorker) -> None:
    values: list[Any] = [
        42,
        "it's",
        None,
        True,
        date(2024, 2, 29),
        Decimal("1.10"),
        b"\0\xff",
        timedelta(days=1, seconds=2),
        UUID(int=5),
        [1, None, 3],
        {"a": ["b"]},
    ]
    kinds = ["int", "text", "text", "bool", "date", "numeric", "bytea", "interval", "uuid", "int[]", "jsonb"]
    query = client.query("select " + ", ".join(f"${n}::{kind}" for n, kind in enumerate(kinds, 1)), values)
    worker.run()
    assert list(query) == [tuple(values)]


@pytest.mark.parametrize("params", ["text", {"a": 1}, b"x", [object()], [float("nan")], ["a\0"]])
def test_parameters_that_cannot_be_sent(params: Any, client: Client) -> None:
    with pytest.raises(InvalidArgument):
        client.query("select $1", params)


# -- failures -----------------------------------------------------------------------------------------------------


def readings(query: Any) -> list[Callable[[], object]]:
    return [
        lambda: query.wait(10),
        lambda: list(query),
        lambda: query.to_csv(io.StringIO()),
        lambda: query.to_json(io.StringIO()),
        lambda: query.to_arrow(),
    ]


def test_a_failed_query_raises_what_the_server_said(client: Client, worker: SqlWorker, tmp_path: Path) -> None:
    (tmp_path / "kept.csv").write_text("kept")
    query = client.query("select 1 / 0")
    told = {"detail": "d", "hint": "h", "position": 8, "type": "SqlError"}
    worker.begin().end(None, {"message": "division by zero", "sqlstate": "22012", **told})
    for read in [*readings(query), lambda: query.to_csv(tmp_path / "kept.csv")]:
        with pytest.raises(QueryFailed) as raised:
            read()
        error = raised.value
        assert (error.sqlstate, error.message, error.detail, error.hint) == ("22012", "division by zero", "d", "h")
        assert (error.job_id, error.state, error.reason, error.position) == (query.id, "failed", "error", 8)
        assert "division by zero" in str(error)
        assert f"query {query.id}" in str(error)
    assert (tmp_path / "kept.csv").read_text() == "kept"


def test_a_failure_in_the_middle_is_raised_after_the_rows_before(client: Client, worker: SqlWorker) -> None:
    query = client.query(NUMBERS)
    run = worker.begin()
    run.put("1\tone")
    rows = query.rows(timeout=10)
    assert next(rows) == (1, "one")
    run.end(None, {"message": "boom", "sqlstate": "XX000"})
    with pytest.raises(QueryFailed, match="boom"):
        next(rows)


def test_a_result_that_is_too_large(client: Client, worker: SqlWorker) -> None:
    query = client.query(NUMBERS, max_rows=2)
    run = worker.begin()
    assert run.max_rows == 2
    run.end(
        None, {"type": "ResultTooLarge", "message": "more than 2 rows", "sqlstate": "PQ007", "hint": "raise max_rows"}
    )
    with pytest.raises(ResultTooLarge, match="more than 2 rows") as raised:
        query.wait(5)
    assert raised.value.hint == "raise max_rows"


def test_a_cancelled_query(client: Client, worker: SqlWorker) -> None:
    query = client.query(NUMBERS)
    gone = query.cancel("not needed")
    assert (gone.state, gone.changed, gone.others) == ("cancelled", True, 0)
    for read in readings(query):
        with pytest.raises(JobFailed) as raised:
            read()
        assert raised.value.state == "cancelled"
        assert not isinstance(raised.value, QueryFailed)
    with pytest.raises(JobFailed):
        query.columns(timeout=5)


def test_a_query_that_starts_again_is_not_read_on(pg: Database, client: Client, worker: SqlWorker) -> None:
    query = client.query(NUMBERS)
    run = worker.begin()
    run.put("1\tone")
    rows = query.rows(timeout=10)
    assert next(rows) == (1, "one")
    unread = query.rows(timeout=10)
    worker.lose()
    again = worker.begin()
    with pytest.raises(ResultRestarted):
        next(rows)
    again.copy(10)
    again.end()
    assert list(unread) == list(query) == FIVE


def test_a_table_is_read_again_when_the_query_starts_again(
    client: Client, worker: SqlWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def recording(id: int, n: int, *rest: Any) -> Any:
        asked.append(n)
        return Client.query_batch(client, id, n, *rest)

    monkeypatch.setattr(client, "query_batch", recording)
    query = client.query(NUMBERS)
    worker.begin().put("1\tone")
    with ThreadPoolExecutor() as threads:
        table = threads.submit(query.to_arrow, 30)
        wait_for(lambda: 1 in asked, "the wait for the second chunk")
        worker.lose()
        worker.run()
        assert table.result(30).num_rows == 5


def test_a_result_that_has_expired(client: Client, worker: SqlWorker) -> None:
    query = client.query(NUMBERS, ttl=timedelta(milliseconds=1))
    worker.run()
    wait_for(lambda: client.query_status(query.id).expires_at is not None and _is_gone(query), "the expiry")
    with pytest.raises(UnknownJob):
        list(query)
    assert query.status().state == "succeeded"


def _is_gone(query: Any) -> bool:
    try:
        query.to_csv(io.StringIO())
    except UnknownJob:
        return True
    return False


# -- waiting ------------------------------------------------------------------------------------------------------


def test_the_end_is_heard_of(client: Client, worker: SqlWorker) -> None:
    query = client.query(NUMBERS)
    run = worker.begin()
    run.copy(10)
    threading.Timer(0.1, run.end).start()
    assert query.wait(20).state == "succeeded"


def test_a_timeout_leaves_the_query_alone(client: Client, worker: SqlWorker) -> None:
    query = client.query(NUMBERS)
    for read in (query.wait, lambda t: list(query.rows(t)), query.to_arrow):
        with pytest.raises(ResultTimeout, match=r"within 0\.05 s"):
            read(0.05)
    assert query.status().state == "queued"
    worker.run()
    assert list(query.rows(0)) == FIVE  # all is there: nothing to wait for


def test_a_timeout_cancels_when_told_to(client: Client, worker: SqlWorker) -> None:
    query = client.query(NUMBERS, on_wait_timeout="cancel")
    other = client.query(NUMBERS, owner="other")
    with pytest.raises(ResultTimeout):
        query.wait(0.05)
    assert other.status().state == "queued"
    last = client.query_handle(query.id, owner="other", on_wait_timeout="cancel")
    with pytest.raises(ResultTimeout):
        list(last.rows(0.05))
    assert other.status().state == "cancelled"
    with pytest.raises(InvalidArgument):
        client.query(NUMBERS, on_wait_timeout="stop")  # type: ignore[arg-type]


def test_time_the_caller_takes_does_not_count(client: Client, worker: SqlWorker) -> None:
    query = client.query(NUMBERS)
    run = worker.begin()
    run.put("1\tone")
    rows = query.rows(timeout=5)
    assert next(rows) == (1, "one")
    began = time.monotonic()
    run.put("2\ttwo")
    run.end()
    assert list(rows) == [(2, "two")]
    assert time.monotonic() - began < 5


def test_a_connection_lost_in_between(client: Client, worker: SqlWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    query = client.query(NUMBERS)
    run = worker.begin()
    run.put("1\tone")
    rows = query.rows(timeout=30)
    assert next(rows) == (1, "one")
    lost = iter([True, True])

    def losing(*arguments: Any) -> Any:
        if next(lost, False):
            raise ConnectionLost("gone")
        return Client.query_batch(client, *arguments)

    monkeypatch.setattr(client, "query_batch", losing)
    run.put("2\ttwo")
    run.end()
    assert list(rows) == [(2, "two")]
    lost = iter([True])
    with pytest.raises(ConnectionLost):  # nothing has ever been reached: no use in trying
        list(query)


# -- sharing ------------------------------------------------------------------------------------------------------


def test_the_same_query_twice_runs_once(client: Client, worker: SqlWorker) -> None:
    first, second = client.query(NUMBERS, owner="a"), client.query(NUMBERS, owner="b")
    assert (second.id, second.created, second.reused) == (first.id, False, False)
    gone = first.cancel()
    assert (gone.changed, gone.others) == (True, 1)
    worker.run()
    assert list(second) == FIVE
    third = client.query(NUMBERS, max_age=60)
    assert (third.id, third.created, third.reused, list(third)) == (first.id, False, True, FIVE)
    assert client.query(NUMBERS).created
    assert client.query(NUMBERS, unique=False).created


def test_only_those_who_asked_may_look(client: Client, worker: SqlWorker) -> None:
    query = client.query(NUMBERS, owner="ada")
    stranger = client.query_handle(query.id, owner="eve")
    for look in (stranger.status, stranger.columns, stranger.wait, stranger.cancel, lambda: list(stranger)):
        with pytest.raises(UnknownJob):
            look()
    assert client.query_handle(query.id).status().owner == "ada"


def test_who_asked_takes_back_that_alone_and_an_operator_all(client: Client) -> None:
    query, other = client.query(NUMBERS), client.query(NUMBERS, owner="other")
    assert query.id == other.id
    assert query.cancel().others == 1
    assert other.status().state == "queued"
    assert client.query_handle(query.id).cancel().others == 0
    assert other.status().state == "cancelled"


def test_on_the_callers_connection(pg: Database, worker: SqlWorker) -> None:
    connection = pg.connect(autocommit=False)
    client = Client(connection=connection)
    query = client.query(NUMBERS)
    assert worker.client.jobs(queue="queries") == []
    connection.commit()
    worker.run()
    connection.autocommit = True
    assert query.wait(5).state == "succeeded"
    assert list(query) == FIVE


def test_pools_of_the_caller_are_not_listened_on(pg: Database, worker: SqlWorker) -> None:
    with ConnectionPool(pg.dsn, min_size=1, max_size=1, kwargs={"autocommit": True}) as pool:
        query = Client(pool).query(NUMBERS)
        run = worker.begin()
        run.copy(10)
        threading.Timer(0.1, run.end).start()
        assert query.wait(20).state == "succeeded"  # with one connection, which a listener would have kept

    async def main() -> list[Any]:
        async with AsyncConnectionPool(pg.dsn, min_size=1, max_size=1, kwargs={"autocommit": True}) as pool:
            client = AsyncClient(pool)
            late = await client.query("select 1")
            threading.Timer(0.1, worker.run).start()
            await late.wait(20)
            return [row async for row in late]

    assert asyncio.run(main()) == [(1,)]


def test_query_columns_are_a_conflict_while_unknown(client: Client) -> None:
    with pytest.raises(Conflict):
        client.query_columns(client.query(NUMBERS).id)


# -- async --------------------------------------------------------------------------------------------------------


def test_async_twins(pg: Database, worker: SqlWorker, tmp_path: Path) -> None:
    async def main() -> None:
        async with AsyncClient(pg.dsn) as client:
            query = await client.query(NUMBERS, batch_rows=2)
            assert isinstance(query, AsyncQueryHandle)
            waiting = asyncio.create_task(query.wait(20))
            await asyncio.to_thread(worker.run, 2)
            assert (await waiting).state == "succeeded"
            assert [row async for row in query] == [row async for row in query.rows()] == FIVE
            assert [len(batch) async for batch in query.batches()] == [2, 2, 1]
            assert await query.to_csv(tmp_path / "a.csv") == await query.to_json(tmp_path / "a.json") == 5
            assert (await query.to_arrow()).num_rows == len(await query.to_pandas()) == 5
            assert len(await query.columns()) == 2
            slow = await client.query("select 1", on_wait_timeout="cancel")
            with pytest.raises(ResultTimeout):
                await slow.wait(0.05)
            assert (await slow.status()).state == "cancelled"
            with pytest.raises(JobFailed):
                [row async for row in client.query_handle(slow.id)]

    asyncio.run(main())


def test_through_the_connections_of_an_app(pg: Database, worker: SqlWorker) -> None:
    app = App(pg.dsn)
    query = app.client.query(NUMBERS)
    worker.run()
    assert list(query) == FIVE

    async def main() -> list[Any]:
        found = [row async for row in app.aclient.query_handle(query.id)]
        await app.aclose()
        return found

    assert asyncio.run(main()) == FIVE

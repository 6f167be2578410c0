"""`client.batches` and `app.batches`: what callers see of batches, without a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import pgqueue
from pgqueue import (
    App,
    AsyncClient,
    Client,
    Conflict,
    InvalidArgument,
    NotSerialisable,
    ResultTimeout,
    UnknownJob,
    chain,
)
from pgqueue.rows import Row, made_row
from pgqueue.testing import drain
from tests.support.cluster import Database
from tests.worker.hooksapp import Reverse


@pytest.fixture
def client(pg: Database) -> Client:
    return Client(connection=pg.connect())


@pytest.mark.parametrize("rows", [[(1, "a"), (2, None)], [{"line": 1, "input": "a"}, {"line": 2, "input": None}]])
def test_rows_are_pairs_or_objects(rows: list[Any], client: Client) -> None:
    batch = client.batches.submit("a", "B", {"c": 1}, rows, owner="ada", priority=5, slice_size=1)
    info = client.batches.status(batch)
    assert (info.app, info.op, info.owner, info.context, info.rows) == ("a", "b", "ada", {"c": 1}, 2)
    assert (info.status, info.is_final, info.files) == ("queued", False, None)
    args = [job.args["rows"] for job in (client.job(each.id) for each in client.jobs("a/b")[::-1])]
    assert args == [[[0, 1, "a"]], [[1, 2, None]]]


@pytest.mark.parametrize("row", [(1,), (1, 2, 3), "ab", {"line": 1}, {"line": 1, "input": 2, "x": 3}, 5])
def test_what_is_no_row_is_named(row: Any, client: Client) -> None:
    with pytest.raises(InvalidArgument, match="row 2 is"):
        client.batches.submit("a", "b", rows=[(1, 1), row])


def test_nothing_is_stored_of_what_is_refused(client: Client) -> None:
    with pytest.raises(InvalidArgument):
        client.batches.submit("a", "b")
    with pytest.raises(InvalidArgument):
        client.batches.submit("a", "b", rows=[(0, 1)])
    with pytest.raises(NotSerialisable):
        client.batches.submit("a", "b", rows=[(1, {2})])
    assert client.batches.list() == []


def test_many_rows_come_from_an_iterator(client: Client) -> None:
    told: list[int] = []
    batch = client.batches.submit_many("a", "b", {}, ((n, n) for n in range(1, 26)), chunk=10, on_progress=told.append)
    assert told == [10, 20, 25]
    assert (client.batches.status(batch).rows, client.batches.status(batch).status) == (25, "queued")
    held = client.batches.submit_many("a", "b", {}, [], hold=True)
    assert client.batches.status(held).status == "held"
    with pytest.raises(InvalidArgument, match="no rows"):
        client.batches.submit_many("a", "b", {}, [])


def test_an_iterator_that_breaks_aborts_what_was_stored(client: Client) -> None:
    def rows() -> Iterator[tuple[int, int]]:
        yield from ((n, n) for n in range(1, 16))
        raise OSError("end of the tape")

    with pytest.raises(OSError, match="tape"):
        client.batches.submit_many("a", "b", {}, rows(), chunk=10)
    assert [info.status for info in client.batches.list()] == ["aborted"]


def test_hold_append_release_abort(client: Client) -> None:
    batches = client.batches
    batch = batches.submit("a", "b", hold=True)
    assert batches.append(batch, [(1, 1)]) == 1
    assert batches.append(batch, [(2, 2)], hold=False) == 2
    with pytest.raises(Conflict):
        batches.append(batch, [(3, 3)])
    assert batches.release(batch) == 2
    assert batches.abort(batch).aborted == 2
    assert [(row.line, row.row_id, row.status) for row in batches.rows(batch, page=1)] == [
        (1, 0, "aborted"),
        (2, 1, "aborted"),
    ]
    assert batches.wait(batch, 5).is_final
    assert batches.files(batch) == {}
    with pytest.raises(UnknownJob):
        next(iter(batches.open_file(batch, "x")))
    with pytest.raises(Conflict):
        batches.release(batch)


def test_another_owners_batch_is_unknown(client: Client) -> None:
    batch = client.batches.submit("a", "b", rows=[(1, 1)], owner="ada")
    assert client.batches.status(batch, owner="ada").rows == 1
    with pytest.raises(UnknownJob):
        client.batches.status(batch, owner="bob")
    with pytest.raises(UnknownJob):
        client.batches.abort(batch, owner="bob")
    assert [info.id for info in client.batches.list(owner="ada")] == [batch]


def test_waiting_ends(client: Client) -> None:
    batch = client.batches.submit("a", "b", rows=[(1, 1)])
    query = client.batches.submit_slow_query("a", "b")
    with pytest.raises(ResultTimeout, match=f"batch {batch} is not over"):
        client.batches.wait(batch, 0.02)
    with pytest.raises(ResultTimeout, match=f"slow query {query} is not over"):
        client.batches.wait_slow_query(query, 0.02)
    assert client.batches.abort_slow_query(query).changed
    assert client.batches.wait_slow_query(query).status == "aborted"
    with pytest.raises(UnknownJob):
        client.batches.wait(query)


def test_a_batch_is_rolled_back_with_the_callers_transaction(pg: Database) -> None:
    connection = pg.connect()
    with connection.transaction(force_rollback=True):
        batch = Client(connection=connection).batches.submit_many("a", "b", {}, [(1, 1)])
    with pytest.raises(UnknownJob):
        Client(connection=connection).batches.status(batch)


def test_async_and_the_apps_own(pg: Database) -> None:
    app = App(pg.dsn)
    batch = app.batches.submit("a", "b", rows=[(1, 1)])
    assert app.batches.list()[0].id == batch

    async def look() -> None:
        async with AsyncClient(pg.dsn) as client:
            more = await client.batches.submit_many("a", "b", {}, [(1, 1), (2, 2)], chunk=1)
            assert (await client.batches.abort(more)).aborted == 2
            assert [row.line async for row in client.batches.rows(more)] == [1, 2]
            assert (await client.batches.wait(more, 5)).status == "aborted"
        assert [info.id for info in await app.abatches.list()] == [more, batch]
        await app.aclose()

    asyncio.run(look())


def test_rows_that_workers_make_are_rows() -> None:
    made = made_row(1, "a", "b", {}, 2, "x", 3, 4, None, lambda: True)
    assert type(made) is Row
    assert repr(made) == repr(Row(1, "a", "b", {}, 2, "x", 3, 4))
    assert made.cancelled and not Row(1, "a", "b", {}, 2, "x").cancelled
    with pytest.raises(AttributeError):
        made.line = 3  # type: ignore[misc]


# -- before and after ---------------------------------------------------------------------------------------------


def test_a_batch_waits_for_handles_and_ids_and_is_waited_for(pg: Database) -> None:
    app = App(pg.dsn)

    @app.task
    def make(n: int) -> int:
        return n

    batches = app.batches
    job = make.enqueue(1)
    script = app.client.script(["select 1"])
    first = batches.submit("a", "b", rows=[(1, 1)], depends_on=job)
    second = batches.submit_many(
        "a", "b", {}, [(1, 1), (2, 2)], depends_on=(each for each in [job, job.id, first, script]), chunk=1
    )
    query = batches.submit_slow_query("a", "c", depends_on=[second], on_parent_failure="run")
    after = make.options(depends_on=[first, query], on_parent_failure="run").enqueue(2)
    ids = {id: [parent.id for parent in app.client.parents(id)] for id in (first, second, query, after.id)}
    assert ids == {
        first: [job.id],
        second: sorted([job.id, script.id, first]),
        query: [second],
        after.id: [first, query],
    }
    assert (batches.status(second).status, batches.status(second).waits_for) == ("held", ["parents"])
    assert batches.slow_query_status(query).status == "held"
    app.client.cancel(job.id)
    app.client.maintain()
    app.client.maintain()
    assert [batches.status(id).status for id in (first, second)] == ["aborted"] * 2
    assert batches.slow_query_status(query).status == "queued"
    app.close()


def test_a_batch_waits_for_a_query_and_does_not_read_it(pg: Database) -> None:
    """A blocking handle of a query can be gone over: those are its rows."""
    app = App(pg.dsn)
    query = app.client.query("select 1")
    for after in (query, [query]):
        batch = app.batches.submit("a", "b", rows=[(1, 1)], depends_on=after)
        assert [parent.id for parent in app.client.parents(batch)] == [query.id]

    @app.task
    def step() -> None: ...

    flow = chain(step.s(), step.s()).enqueue()
    batch = app.batches.submit("a", "b", rows=[(1, 1)], depends_on=flow)  # as a task and a query may
    assert [parent.id for parent in app.client.parents(batch)] == list(flow.ids)
    with pytest.raises(InvalidArgument):
        app.batches.submit("a", "b", rows=[(1, 1)], depends_on="12")
    app.close()


def test_what_follows_a_batch(pg: Database) -> None:
    app = App(pg.dsn)
    told: list[Any] = []

    @app.task
    def tell(about: Any, channel: str) -> None:
        told.append((channel, about))

    @app.processor("a", "b")
    def process(row: Row) -> Any:
        if row.input == "bad":
            raise ValueError("no")
        return row.input

    @app.slow_query("a", "c")
    def answer(row: Row) -> int:
        return 42

    good, bad = tell.s(pgqueue.result, channel="good"), tell.s(pgqueue.error, channel="bad")
    for given in ("fine", "bad"):
        app.batches.submit("a", "b", rows=[(1, given)], on_success=good, on_error=[bad, tell.s(1, channel="also")])
    plain = {"kind": tell.kind, "args": {"channel": "plain"}, "pass_as": "about"}
    app.batches.submit_slow_query("a", "c", on_success=plain)
    drain(app)
    error = {"type": "RowsFailed", "message": "1 of 1 rows failed"}
    assert sorted(told) == [
        ("also", 1),
        ("bad", {"state": "failed", "reason": "error", "error": error}),
        ("good", {"succeeded": 1, "failed": 0, "aborted": 0}),
        ("plain", 42),
    ]
    app.close()


def test_follow_ups_of_a_batch_are_sealed_as_those_of_jobs(pg: Database) -> None:
    app = App(pg.dsn, codec=Reverse())
    told: list[Any] = []

    @app.task
    def tell(about: dict[str, int], channel: str) -> None:
        told.append((channel, about["succeeded"]))

    @app.processor("a", "b")
    def process(row: Row) -> None:
        return None

    app.batches.submit("a", "b", rows=[(1, 1)], on_success=tell.s(pgqueue.result, channel="secret"))
    with pg.connect() as connection:
        assert "secret" not in str(connection.execute("select jobs from pgqueue.follow_up").fetchall())
    drain(app)
    assert told == [("secret", 1)]
    app.close()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"depends_on": "42"}, "depends_on"),
        ({"depends_on": [None]}, "depends_on"),
        ({"on_success": "mail"}, "on_success"),
        ({"on_error": [{"kind": "k"}, "mail"]}, "on_error"),
        ({"on_error": {"kind": 5}}, "on_error"),
        ({"on_parent_failure": "hope"}, "on_parent_failure"),
    ],
)
def test_bad_parents_and_follow_ups_are_refused(more: dict[str, Any], words: str, client: Client) -> None:
    with pytest.raises(InvalidArgument, match=words):
        client.batches.submit("a", "b", rows=[(1, 1)], **more)
    with pytest.raises(InvalidArgument, match=words):
        client.batches.submit_slow_query("a", "b", **more)
    assert client.batches.list() == []


def test_an_unknown_parent_is_refused(client: Client) -> None:
    with pytest.raises(UnknownJob, match="987654321"):
        client.batches.submit("a", "b", rows=[(1, 1)], depends_on=987654321)
    with pytest.raises(UnknownJob):
        client.batch_submit("a", "b", rows=[{"line": 1, "input": 1}], depends_on=[987654321])


def test_async_batches_wait_too(pg: Database) -> None:
    async def run() -> None:
        async with AsyncClient(pg.dsn) as client:
            job = await client.enqueue("k")
            batch = await client.batches.submit("a", "b", rows=[(1, 1)], depends_on=job, on_success={"kind": "next"})
            assert (await client.batches.status(batch)).waits_for == ["parents"]
            query = await client.batches.submit_slow_query("a", "b", depends_on=batch)
            assert (await client.batches.slow_query_status(query)).status == "held"

    asyncio.run(run())

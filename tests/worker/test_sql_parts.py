"""Parts of the executor of SQL by themselves, where whole workers cannot be made to be in the moment that matters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from pgqueue.worker.sql.chunks import Chunks
from pgqueue.worker.sql.failures import SqlFailure
from pgqueue.worker.sql.query import Reading
from pgqueue.worker.sql.running import run
from pgqueue.worker.sql.session import Backend, Interrupted, Session, Wishes
from pgqueue.worker.sql.statements import command_of

if TYPE_CHECKING:
    from tests.support.cluster import Database


def in_session(dsn: str, use: Callable[[Session], Awaitable[None]], **wishes: object) -> None:
    async def main() -> None:
        session = await Session.open(dsn, Wishes("pgqueue part", **wishes))  # type: ignore[arg-type]
        try:
            await use(session)
        finally:
            session.close()

    asyncio.run(main())


def test_rows_lost_to_an_interruption_that_came_too_late(pg: Database) -> None:
    async def use(session: Session) -> None:
        async def put(n: int, count: int, data: str) -> None:
            session.interrupted = "shutdown"

        chunks = Chunks(put, batch_rows=1000, max_rows=None, max_bytes=None)
        await session.prepare(None)
        with pytest.raises(Interrupted):
            await Reading(session, chunks).copy("select n, repeat('x', 100) from generate_series(1, 20000) n")
        await chunks.abandon()

    in_session(pg.dsn, use)


def test_an_interruption_between_two_statements(pg: Database) -> None:
    async def use(session: Session) -> None:
        await session.prepare(0.01)
        while session.interrupted is None:
            await asyncio.sleep(0)
        assert session.interrupted == "timeout"
        with pytest.raises(Interrupted):
            await run(session, "select 1")
        await session.leave()

    in_session(pg.dsn, use)


def test_a_backend_is_ended_only_if_it_is_the_one_that_was_meant(pg: Database) -> None:
    other = pg.connect()
    pid, start = other.execute(
        "select pid, backend_start from pg_stat_activity where pid = pg_backend_pid()"
    ).fetchone() or (0, None)

    async def use(session: Session) -> None:
        assert not await session.end_other(Backend(pid, session.backend.start))
        assert other.execute("select 1").fetchone() == (1,)
        while await session.end_other(Backend(pid, start)):
            await asyncio.sleep(0)

    other.execute("create role sql_part")
    try:
        in_session(pg.dsn, use, role="sql_part")  # which has no right to end anything
    finally:
        pg.connect().execute("drop role sql_part")
    left = pg.connect().execute("select count(*) from pg_stat_activity where pid = %s", (pid,)).fetchone()
    assert left == (0,)


def test_a_session_without_startup_options(pg: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a pooler that takes none: the settings are made once connected."""
    monkeypatch.setattr("pgqueue.worker.sql.session._LONGEST_OPTIONS", 0)

    async def use(session: Session) -> None:
        await session.prepare(5.0)
        rows = await session.driver.fetch(
            b"select current_setting('work_mem'), current_setting('default_transaction_read_only'), current_user, "
            b"current_setting('statement_timeout'), current_setting('client_connection_check_interval')"
        )
        assert rows == [["1MB", "on", "pg_monitor", "5s", "200ms"]]
        await session.leave()

    in_session(pg.dsn, use, role="pg_monitor", settings={"work_mem": "1MB"}, read_only=True)


def test_what_storing_raises_is_raised_by_a_later_chunk() -> None:
    async def main() -> None:
        async def put(n: int, count: int, data: str) -> None:
            raise SqlFailure(f"chunk {n}")

        chunks = Chunks(put, batch_rows=1, max_rows=None, max_bytes=None)
        await chunks.add(b"a\n")
        with pytest.raises(SqlFailure, match="chunk 0"):
            await chunks.add(b"b\n")
        await chunks.abandon()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("sql", "command"),
    [
        ("select 1", "SELECT 3"),
        ("  (((select 1)))", "SELECT 3"),
        ("-- insert\n/* update */ Insert into t values (1) returning 1", "INSERT 0 3"),
        ("with x as (select 1) delete from t", "SELECT 3"),
        ("MERGE into t", "MERGE 3"),
        ("", "SELECT 3"),
    ],
)
def test_command_tags(sql: str, command: str) -> None:
    assert command_of(sql, 3) == command


def test_a_session_ended_between_two_statements_says_who_ended_it(pg: Database) -> None:
    """libpq takes the server's word for a notice then, and the next statement only finds the connection closed."""
    killer = pg.connect()

    async def use(session: Session) -> None:
        assert killer.execute("select pg_terminate_backend(%s, 10000)", (session.backend.pid,)).fetchone() == (True,)
        with pytest.raises(SqlFailure) as caught:
            await session.prepare(None)
        assert caught.value.sqlstate == "57P01"
        assert str(caught.value) == "terminating connection due to administrator command"

    in_session(pg.dsn, use)

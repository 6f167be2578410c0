"""The worker's connections: which of them wait for the disk, and what a line does when things go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import psycopg
import psycopg.sql
import pytest

from pgqueue.errors import Busy, ConnectionLost, InvalidArgument
from pgqueue.worker import Settings
from pgqueue.worker.events import Teller
from pgqueue.worker.line import numbered
from pgqueue.worker.link import Link, connection_string
from tests.worker.harness import Inside, Jobs
from tests.worker.proxy import DeafWire
from tests.worker.tasks import app

if TYPE_CHECKING:
    from tests.support.cluster import Database


async def setting(link: Link) -> str:
    rows = await link.fetch("select current_setting('synchronous_commit')")
    return str(rows[0][0])


@pytest.fixture
def waiting(jobs: Jobs) -> str:
    """What connections of this database wait for at a commit, unless they say otherwise; the tests' server waits for
    nothing.
    """
    name = psycopg.sql.Identifier(jobs.one("select current_database()"))
    jobs.connection.execute(psycopg.sql.SQL("alter database {} set synchronous_commit = local").format(name))
    return "local"


def settings_of(worker: Inside) -> dict[str, str]:
    """Role → synchronous_commit, of the lanes of a running worker."""

    async def ask() -> dict[str, str]:
        return {lane.link.role: await setting(lane.link) for lane in worker.worker._loop._lanes}

    assert worker._loop is not None
    return asyncio.run_coroutine_threadsafe(ask(), worker._loop).result(10)


def test_only_claims_do_without_the_disk(pg: Database, jobs: Jobs, waiting: str) -> None:
    with Inside(app, pg.dsn, upkeep=False) as worker:
        worker.wait("idle")
        found = settings_of(worker)
        lanes = {lane.link.role: lane for lane in worker.worker._loop._lanes}
        assert found == {"claim": "off", "work": waiting}
        assert not lanes["claim"].settles
        jobs.until(jobs.add("nothing"), "succeeded")


@pytest.mark.parametrize("given", [{"connections": 1}, {"listen": False}])
def test_a_lane_that_does_both_waits_for_the_disk(
    pg: Database, jobs: Jobs, waiting: str, given: dict[str, Any]
) -> None:
    with Inside(app, pg.dsn, upkeep=False, poll_interval=0.05, **given) as worker:
        for id in jobs.many("nothing", 50):
            jobs.until(id, "succeeded")
        assert set(settings_of(worker).values()) == {waiting}


def test_behind_a_pooler_every_commit_waits(pg: Database, jobs: Jobs, waiting: str) -> None:
    with DeafWire(pg.dsn) as wire, Inside(app, wire.dsn, poll_interval=0.05) as worker:
        jobs.until(jobs.add("nothing"), "succeeded")
        assert set(settings_of(worker).values()) == {waiting}


def test_what_the_dsn_says_of_commits_wins() -> None:
    settings = Settings(dsn="options='-c synchronous_commit=remote_apply'")
    assert "synchronous_commit=off" not in connection_string(settings.dsn, settings, "claim", is_durable=False)
    assert "synchronous_commit=off" in connection_string("", settings, "claim", is_durable=False)
    assert "synchronous_commit" not in connection_string("", settings, "work")


def test_an_idle_connection_that_breaks_is_restored_before_it_is_needed(pg: Database, jobs: Jobs) -> None:
    with Inside(app, pg.dsn, poll_interval=60, upkeep=False) as worker:
        worker.wait("asleep")
        worker.wait("idle")
        jobs.connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'pgqueue claim%'"
        )
        worker.wait("connected", link="claim")
        jobs.until(jobs.add("nothing"), "succeeded", seconds=5)


# -- a line by itself -------------------------------------------------------------------------------------------------


def with_link(dsn: str, steps: Callable[[Link], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        link = Link("test", dsn, Settings(dsn=dsn, **settings), Teller(), asyncio.Event())
        await link.open()
        try:
            await steps(link)
        finally:
            await link.close()

    asyncio.run(main())


def test_parameters_are_numbered_in_order_of_appearance() -> None:
    statement = numbered("select %(b)s, %(a)s, %(b)s")
    assert statement.text == b"select $1, $2, $1"
    assert statement.values({"a": "1", "b": None}) == [None, b"1"]
    for bad in ("a\0b", "\ud800"):
        with pytest.raises(psycopg.DataError):
            statement.values({"a": bad, "b": ""})


@pytest.mark.parametrize("prepare", [True, False])
def test_statements_sent_at_once_are_answered_in_order(pg: Database, prepare: bool) -> None:
    async def steps(link: Link) -> None:
        async def number(n: int) -> int:
            return int((await link.fetch("select %(n)s::bigint", {"n": str(n)}))[0][0])

        assert await asyncio.gather(*[number(n) for n in range(50)]) == list(range(50))
        # more than a socket takes at once, both ways
        text = "x" * 20_000_000
        assert await link.fetch("select %(text)s::text", {"text": text}) == [(text,)]

    with_link(pg.dsn, steps, prepare=prepare)


def test_an_error_spoils_only_its_own_statement(pg: Database) -> None:
    async def steps(link: Link) -> None:
        for _ in range(2):
            with pytest.raises(InvalidArgument):
                await link.fetch("select %(n)s::int", {"n": "no number"})
        with pytest.raises(InvalidArgument):
            await link.fetch("select %(text)s::text", {"text": "a\0b"})
        with pytest.raises(Busy):
            await link.fetch("select pg_sleep(30)", {})
        assert await link.fetch("select 1") == [(1,)]

    with_link(pg.dsn, steps, statement_timeout=0.05)


def test_everybody_who_waits_is_told_of_the_loss(pg: Database) -> None:
    async def steps(link: Link) -> None:
        lost: list[object] = []
        link.on_lost = lost.append
        end = link.fetch("select pg_terminate_backend(pg_backend_pid())")
        answers = await asyncio.gather(end, link.fetch("select 1"), link.fetch("select 2"), return_exceptions=True)
        assert [type(answer) for answer in answers] == [ConnectionLost] * 3
        assert link.connection is None
        with pytest.raises(ConnectionLost):
            await link.fetch("select 1")
        await link.open()
        assert await link.fetch("select 1") == [(1,)]

    with_link(pg.dsn, steps)


def test_cancelling_the_wait_cancels_the_statement(pg: Database) -> None:
    async def steps(link: Link) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(link.fetch("select pg_sleep(60)"), 0.05)
        assert await asyncio.wait_for(link.fetch("select 1"), 10) == [(1,)]

    with_link(pg.dsn, steps)

"""`batches.wait`: told of the end, not asking for it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from pgqueue import AsyncClient, Client, ResultTimeout, UnknownJob, _waiting
from tests.support.cluster import Database, wait_for

POLLS = ("_FIRST_POLL", "_FIRST_POLL_LISTENING", "_LONGEST_POLL")


@pytest.fixture
def never_polled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Polls are a minute apart; gives the functions called by any client."""
    for name in POLLS:
        monkeypatch.setattr(_waiting, name, 60.0)
    called: list[str] = []
    for kind in (Client, AsyncClient):
        run: Any = kind.run

        def noted(self: Any, call: Any, run: Any = run) -> Any:
            called.append(call.sql.split("(")[0].split(".")[-1])
            return run(self, call)

        monkeypatch.setattr(kind, "run", noted)
    return called


def _waits(pg: Database, batch: int) -> bool:
    with pg.connect() as connection:
        query = "select exists (select from pgqueue.waiter where job_id = %s)"
        return bool(connection.execute(query, [batch]).fetchone() == (True,))


def _abort(pg: Database, kind: str, batch: int) -> None:
    with pg.connect() as connection:
        name = {"batch": "batch_abort", "slow query": "slow_query_abort"}[kind]
        connection.execute(f"select pgqueue.{name}(id => %s)".encode(), [batch])


def _submitted(client: Client, kind: str) -> int:
    batches = client.batches
    return batches.submit("a", "b", rows=[(1, 1)]) if kind == "batch" else batches.submit_slow_query("a", "b")


@pytest.mark.parametrize("kind", ["batch", "slow query"])
def test_a_blocking_wait_hears_of_the_end(kind: str, pg: Database, never_polled: list[str]) -> None:
    with Client(pg.dsn) as client:
        batch = _submitted(client, kind)
        never_polled.clear()
        found: list[Any] = []
        wait = client.batches.wait if kind == "batch" else client.batches.wait_slow_query
        waiting = threading.Thread(target=lambda: found.append(wait(batch, 30)))
        waiting.start()
        wait_for(lambda: _waits(pg, batch), "the waiter's registration")
        _abort(pg, kind, batch)
        waiting.join(20)
    assert [status.status for status in found] == ["aborted"]
    status = "batch_status" if kind == "batch" else "slow_query_status"
    # a look before it listens, one after, one when it is told; watch and unwatch go with listen and unlisten
    assert never_polled == [status, "result", "result", "result", status]


@pytest.mark.parametrize("kind", ["batch", "slow query"])
def test_an_async_wait_hears_of_the_end(kind: str, pg: Database, never_polled: list[str]) -> None:
    with Client(pg.dsn) as client:
        ids = [_submitted(client, kind) for _ in range(5)]
    never_polled.clear()

    async def main() -> None:
        async with AsyncClient(pg.dsn) as client:
            wait: Any = client.batches.wait if kind == "batch" else client.batches.wait_slow_query
            waiting = [asyncio.create_task(wait(batch, 30)) for batch in ids]
            for batch in ids:
                await asyncio.to_thread(wait_for, lambda batch=batch: _waits(pg, batch), "the waiter's registration")
                await asyncio.to_thread(_abort, pg, kind, batch)
            assert [(await task).status for task in waiting] == ["aborted"] * 5
            assert (await wait(ids[0], 5)).is_final

    asyncio.run(main())
    assert never_polled.count("result") == 10
    assert never_polled.count("watch") <= 5


def test_a_batch_of_no_rows_ends_with_its_release(pg: Database, never_polled: list[str]) -> None:
    with Client(pg.dsn) as client:
        batch = client.batches.submit("a", "b", hold=True)
        found: list[Any] = []
        waiting = threading.Thread(target=lambda: found.append(client.batches.wait(batch, 30).status))
        waiting.start()
        wait_for(lambda: _waits(pg, batch), "the waiter's registration")
        assert client.batches.release(batch) == 0
        waiting.join(20)
    assert found == ["succeeded"]


@pytest.mark.parametrize("listen", [False, True])
def test_waiting_has_a_limit(listen: bool, pg: Database) -> None:
    async def main() -> None:
        async with AsyncClient(pg.dsn, listen=listen) as client:
            batch = await client.batches.submit("a", "b", rows=[(1, 1)], owner="ada")
            with pytest.raises(ResultTimeout, match=f"batch {batch} is not over after 0.1 s"):
                await client.batches.wait(batch, 0.1)
            with pytest.raises(UnknownJob):
                await client.batches.wait(batch, 0.1, owner="bob")
            asyncio.get_running_loop().call_soon(asyncio.create_task, client.batches.abort(batch))
            assert (await client.batches.wait(batch, 20, owner="ada")).status == "aborted"

    asyncio.run(main())

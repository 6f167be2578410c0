"""`client.keyed` and `app.keyed_queue`: keyed queues from the library, without a worker."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from pgqueue import (
    AlreadyRegistered,
    App,
    AsyncClient,
    AsyncKeyedQueue,
    Client,
    InvalidArgument,
    ItemCancelled,
    ItemFailed,
    KeyedItem,
    KeyedQueue,
    NotSerialisable,
    ResultTimeout,
)
from pgqueue._calls import Call
from pgqueue.keyed import line_of
from pgqueue.testing import adrain, drain
from tests.support.cluster import Database, wait_for


@pytest.fixture
def client(pg: Database) -> Iterator[Client]:
    with Client(pg.dsn) as client:
        yield client


@pytest.fixture
def queue(client: Client) -> KeyedQueue:
    return client.keyed("q")


class Counting(AsyncClient):
    """Notes the statements it has run."""

    ran: list[str]

    async def run(self, call: Call[Any]) -> Any:
        answer = await super().run(call)
        self.__dict__.setdefault("ran", []).append(call.sql.partition("(")[0].rpartition(".")[2])
        return answer


# -- items and values ---------------------------------------------------------------------------------------------


def test_a_round(queue: KeyedQueue) -> None:
    added = queue.add("k", {"sql": "select 1"}, stage_key="s")
    assert (added.created, added.pending) == (True, 1)
    joined = queue.add("k", {"sql": "other"})
    assert (joined.id, joined.created, joined.pending) == (added.id, False, 1)
    stage = queue.stage("s")
    assert stage is not None
    assert (stage.stage, stage.position) == ("pending", 1)
    claim = queue.claim("k")
    assert (claim.refused, claim.payload, claim.extra, claim.pending, claim.active) == (
        None, {"sql": "select 1"}, None, 0, ["k"],
    )  # fmt: skip
    assert queue.claim("k", concurrency=2).refused == "active"
    assert queue.merge_extra({"handle": 5}, id=added.id)
    assert queue.heartbeat(id=added.id)
    found = queue.get("k")
    keys = queue.keys
    assert found is not None
    assert (found.id, found.payload, found.extra, found.status) == (
        added.id,
        {"sql": "select 1"},
        {"handle": 5},
        "active",
    )
    assert [(line.key, line.status, line.extra) for line in keys()] == [("k", "active", {"handle": 5})]
    assert [line.payload for line in queue.list()] == [{"sql": "select 1"}]
    assert ([line.id for line in queue.active()], queue.pending()) == ([added.id], [])
    assert queue.ack(id=added.id, result={"rows": [1]})
    assert not queue.ack(id=added.id, result=None)
    assert queue.state(added.id) == "succeeded"
    for _ in range(2):
        result = queue.result_by_id(added.id)
        assert result is not None
        assert (result.payload, result.state) == ({"rows": [1]}, "succeeded")
    assert queue.result("k") is None, "a read by id hides it from reads by key"
    assert queue.get("k") is None


def test_a_result_is_read_by_key_once(queue: KeyedQueue) -> None:
    queue.add("k", 1, external_id="x")
    assert queue.ack("k", result=[None, "é", 10**30, 1.5])
    first = queue.result("k")
    assert first is not None
    assert first.payload == [None, "é", 10**30, 1.5]
    assert queue.result("k") is None
    assert queue.result("k", external_id="x") is not None


def test_values_that_jsonb_refuses_come_back_as_they_were(queue: KeyedQueue) -> None:
    value = {"nul": "a\0b", "text": "\\u0000", "number": 2**200}
    added = queue.add_and_claim("k", value, concurrency=1)
    assert added.is_claimed
    assert added.payload == value
    queue.ack(id=added.id, result=value)
    assert queue.wait(added.id, 5) == value


@pytest.mark.parametrize("value", [{1, 2}, {"a": float("nan")}, {1: 2}, b"x"])
def test_what_is_no_json_is_refused_by_name(queue: KeyedQueue, value: Any) -> None:
    with pytest.raises(NotSerialisable, match="payload"):
        queue.add("k", value)
    assert queue.keys() == []


def test_text_stays_text(client: Client) -> None:
    queue = client.keyed("q", text=True)
    added = queue.add("k", "no json at all")
    assert queue.claim_next()[0].payload == "no json at all"
    queue.merge_extra('{"n": 1.0}', id=added.id)
    found = queue.get("k")
    assert found is not None
    assert found.extra == '{"n": 1.0}'
    queue.ack("k", result="<html>")
    assert queue.wait(added.id, 5) == "<html>"
    with pytest.raises(InvalidArgument, match="text=True"):
        client.keyed("q").wait(added.id, 5)


def test_none_is_a_result_and_none_at_all_is_not(queue: KeyedQueue) -> None:
    some, without = queue.add("a", 1).id, queue.add("b", 1).id
    queue.ack("a", result=None)
    queue.ack("b")
    assert queue.result_by_id(some) is not None
    assert queue.result_by_id(without) is None
    assert (queue.wait(some, 5), queue.wait(without, 5)) == (None, None)


def test_old_ids_never_touch_newer_items(queue: KeyedQueue) -> None:
    old = queue.add("k", 1).id
    gone = queue.cancel(id=old)
    assert gone is not None
    assert gone.payload == 1
    new = queue.add("k", 2).id
    assert new != old
    assert not queue.ack(id=old, result=1)
    assert not queue.heartbeat(id=old)
    assert not queue.merge_extra({"a": 1}, id=old)
    assert queue.cancel(id=old) is None
    assert queue.claim("k", id=old).refused == "unknown"
    assert queue.state(new) == "pending"


def test_reaping_and_truncating(queue: KeyedQueue, pg: Database) -> None:
    queue.add("orphan", {"n": 1}, orphan=0)
    queue.add("other", 1, orphan=60)
    queue.add_and_claim("run", 1)
    keys = queue.keys
    wait_for(lambda: queue.reap(orphan=100) or None, "an orphan")
    assert sorted(line.key for line in keys()) == ["other", "run"]
    assert queue.truncate() == 2
    assert queue.keys() == []
    with pytest.raises(InvalidArgument, match="orphan"):
        queue.add("k", 1, orphan=-1)


def test_claim_next_takes_by_priority(queue: KeyedQueue) -> None:
    for key, priority in (("a", 0), ("b", 10), ("c", 0)):
        queue.add(key, key, priority=priority)
    assert [each.key for each in queue.claim_next(5, concurrency=2)] == ["b", "a"]
    assert queue.claim_next(5, concurrency=2) == []


# -- waiting ------------------------------------------------------------------------------------------------------


def in_thread(function: Callable[[], Any]) -> Callable[[], Any]:
    """Runs it at once; what is returned gives its outcome, or raises it."""
    got: list[Any] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            got.append(function())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def outcome() -> Any:
        thread.join(20)
        assert not thread.is_alive()
        if failed:
            raise failed[0]
        return got[0]

    return outcome


def test_get_or_run_waits_for_whoever_acks(queue: KeyedQueue) -> None:
    answers = [in_thread(lambda: queue.get_or_run("k", {"a": 1}, timeout=20)) for _ in range(5)]
    (claim,) = wait_for(lambda: queue.claim_next(), "the item")
    assert claim.payload == {"a": 1}
    queue.ack(id=claim.id, result="done")
    assert [answer() for answer in answers] == ["done"] * 5


def test_get_or_run_takes_a_result_that_nobody_has_read(queue: KeyedQueue) -> None:
    first = queue.add("k", 1)
    queue.ack("k", result="ready")
    assert queue.get_or_run("k", 1, timeout=5) == "ready"
    assert queue.state(first.id) == "succeeded"
    with pytest.raises(ResultTimeout, match="has not ended"):
        queue.get_or_run("k", 1, timeout=0.05)
    assert [line.key for line in queue.pending()] == ["k"], "one that has been read is no answer to the next"


def test_cancelling_wakes_who_waits(queue: KeyedQueue) -> None:
    answer = in_thread(lambda: queue.get_or_run("k", 1, timeout=20))
    wait_for(lambda: queue.cancel("k"), "the item")
    with pytest.raises(ItemCancelled, match="was cancelled"):
        answer()
    assert queue.state(10**12) == "gone"
    with pytest.raises(ItemCancelled, match="is gone"):
        queue.wait(10**12, 5)


def test_a_failure_in_a_worker_is_an_exception(pg: Database, client: Client) -> None:
    app = App(pg.dsn)

    @app.keyed("q")
    def fail(item: KeyedItem) -> None:
        raise ValueError(f"no {item.key}")

    added = client.keyed("q").add("k", 1)
    (job,) = drain(app, pg.dsn)
    assert (job.id, job.state) == (added.id, "failed")
    with pytest.raises(ItemFailed, match="no k") as raised:
        client.keyed("q").wait(added.id, 5)
    assert (raised.value.state, raised.value.job_id) == ("failed", added.id)
    result = client.keyed("q").result_by_id(added.id)
    assert result is not None
    assert (result.state, result.payload) == ("failed", {"error": "no k"})


@pytest.mark.parametrize("listen", [True, False])
def test_get_or_run_without_a_pool_to_listen_on(pg: Database, listen: bool) -> None:
    with Client(pg.dsn, listen=listen) as client:
        queue = client.keyed("q")
        answer = in_thread(lambda: queue.get_or_run("k", 1, timeout=20))
        (claim,) = wait_for(lambda: queue.claim_next(), "the item")
        queue.ack(id=claim.id, result=7)
        assert answer() == 7


def test_who_waits_keeps_the_item_from_being_orphaned(pg: Database, queue: KeyedQueue) -> None:
    added = queue.add("k", 1, orphan=0.3)
    answer = in_thread(lambda: queue.wait(added.id, 20, orphan=0.3))
    with pg.connect() as connection:
        count = "select 1 from pgqueue.keyed_request having count(*) >= 4"
        wait_for(lambda: connection.execute(count).fetchone(), "four requests")
    assert queue.reap(orphan=0.3) == []
    queue.ack("k", result=1)
    assert answer() == 1


def test_an_uncontended_get_or_run_takes_few_statements(pg: Database) -> None:
    async def main() -> list[str]:
        ran: list[str] = []
        async with Counting(pg.dsn) as client, AsyncClient(pg.dsn) as other:
            queue = client.keyed("q")
            for n in range(2):
                asking = asyncio.create_task(queue.get_or_run(str(n), n, timeout=20))
                (claim,) = await _soon(other.keyed("q"))
                await other.keyed("q").ack(id=claim.id, result=n)
                assert await asking == n
                ran, client.ran = client.ran, []
            return ran

    ran = asyncio.run(main())
    assert (ran[0], ran[-1]) == ("keyed_add", "keyed_result_by_id")
    assert ran[1:-1] in ([], ["keyed_state"]), "beside these, one watch where it listens"


async def _soon(queue: AsyncKeyedQueue) -> Any:
    """The first claim there is, once somebody watches it."""
    async with asyncio.timeout(20):
        while not (claimed := await queue.claim_next()):
            await asyncio.sleep(0.002)
        await asyncio.sleep(0)
        while not await _watched(queue):
            await asyncio.sleep(0.002)
        return claimed


async def _watched(queue: AsyncKeyedQueue) -> bool:
    async with (await queue._client.pool()).connection() as connection:
        row = await (await connection.execute("select exists (select from pgqueue.waiter)")).fetchone()
        return bool(row and row[0])


def test_a_thousand_waiters_share_one_execution_one_watch_and_one_read(pg: Database) -> None:
    async def main() -> None:
        async with Counting(pg.dsn) as client, AsyncClient(pg.dsn) as other:
            queue, theirs = client.keyed("q"), other.keyed("q")
            told: list[float] = []

            async def ask() -> Any:
                answer = await queue.get_or_run("k", {"n": 1}, timeout=60)
                told.append(time.monotonic())
                return answer

            asking = [asyncio.create_task(ask()) for _ in range(1000)]
            while client.__dict__.setdefault("ran", []).count("keyed_add") < 1000:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0)
            (claim,) = await _soon(theirs)
            await asyncio.sleep(0)
            assert await theirs.claim_next() == []
            client.ran = []
            assert await theirs.ack(id=claim.id, result={"rows": 3})
            acked = time.monotonic()
            answers = await asyncio.gather(*asking)
            assert answers == [{"rows": 3}] * 1000
            assert len({id(answer) for answer in answers}) == 1000, "nobody sees what another does with it"
            assert client.ran.count("keyed_result_by_id") <= 2
            assert max(told) - acked < 2.0  # the bar of 100 ms is the bench's, on a machine of its own

    asyncio.run(main())


def test_one_of_many_waiters_gives_up(pg: Database) -> None:
    async def main() -> None:
        async with AsyncClient(pg.dsn) as client:
            queue = client.keyed("q")
            patient = asyncio.create_task(queue.get_or_run("k", 1, timeout=20))
            with pytest.raises(ResultTimeout):
                await queue.get_or_run("k", 1, timeout=0.05)
            added = await queue.add("k", 1)
            await queue.ack(id=added.id, result="late")
            assert await patient == "late"

    asyncio.run(main())


@pytest.mark.parametrize("seconds", [n * 0.004 for n in range(10)])
def test_an_ack_around_the_subscription_is_never_missed(pg: Database, seconds: float) -> None:
    async def main() -> None:
        async with AsyncClient(pg.dsn) as client, AsyncClient(pg.dsn) as other:
            await other.version()
            asking = asyncio.create_task(client.keyed("q").get_or_run("k", 1, timeout=20))
            while not (claimed := await other.keyed("q").claim_next()):
                await asyncio.sleep(0)
            await asyncio.sleep(seconds)  # another moment in each round: before, in and after the subscription
            await other.keyed("q").ack(id=claimed[0].id, result=1)
            assert await asking == 1

    asyncio.run(main())


# -- apps ---------------------------------------------------------------------------------------------------------


def test_executors_run_inline(pg: Database) -> None:
    app = App(pg.dsn)
    seen: list[Any] = []

    @app.keyed("long " * 60, text=True)
    def upper(item: KeyedItem) -> str:
        return str(item.payload).upper()

    @app.keyed("q")
    async def double(item: KeyedItem) -> Any:
        await item.amerge_extra({"seen": item.key})
        seen.append((item.queue, item.key, item.attempt, item.extra, item.cancelled))
        return {"double": item.payload * 2}

    text = app.keyed_queue("long " * 60, text=True)
    first, second = text.add("k", "abc").id, app.keyed_queue("q").add("n", 21).id
    assert {job.state for job in drain(app)} == {"succeeded"}
    assert text.wait(first, 5) == "ABC"
    assert app.keyed_queue("q").wait(second, 5) == {"double": 42}
    assert seen == [("q", "n", 1, {"seen": "n"}, False)]

    async def again() -> None:
        queue = app.akeyed_queue("q")
        third = await queue.add("n", 4)
        await adrain(app)
        assert await queue.wait(third.id, 5) == {"double": 8}
        await app.aclose()

    asyncio.run(again())


def test_an_executor_works_in_the_callers_transaction(pg: Database) -> None:
    app = App(pg.dsn)

    @app.keyed("q")
    def echo(item: KeyedItem) -> Any:
        item.merge_extra({"a": 1})
        return item.payload

    with pg.connect() as connection, connection.transaction(force_rollback=True):
        queue = Client(connection=connection).keyed("q")
        added = queue.add("k", [1])
        drain(app, connection)
        assert queue.wait(added.id, 1) == [1]
    assert app.keyed_queue("q").state(added.id) == "gone"


def test_registering(pg: Database) -> None:
    app = App(pg.dsn)

    def fn(item: KeyedItem) -> None:
        """Nothing."""

    app.keyed("q", process_id="p")(fn)
    assert app.queues() == ["q", "q@p"]
    with pytest.raises(AlreadyRegistered, match="'q' has an executor"):
        app.keyed("q")(fn)
    wrongs: list[dict[str, Any]] = [{"timeout": 0}, {"concurrency": 0}, {"orphan": "1"}, {"on_cancel": 5}]
    for wrong in wrongs:
        with pytest.raises(InvalidArgument):
            app.keyed("other", **wrong)(fn)
    with pytest.raises(InvalidArgument, match="executor"):
        app.keyed("other")(5)  # type: ignore[type-var]
    with pytest.raises(InvalidArgument, match="queue"):
        app.keyed("")(fn)


@pytest.mark.parametrize("name", ["q", "a" * 200, "a" * 201, "é" * 201, "x" * 1000, "tenant#1:ds_%"])
@pytest.mark.parametrize("process", [None, "p" * 90])
def test_names_of_queues_are_those_of_the_server(pg: Database, name: str, process: str | None) -> None:
    with pg.connect() as connection:
        row = connection.execute("select pgqueue._keyed_line(%s, %s)", (name, process)).fetchone()
    assert row == (line_of(name, process),)


def test_items_of_a_transaction_that_rolls_back_are_gone(pg: Database) -> None:
    with pg.connect() as connection:
        with connection.transaction(force_rollback=True):
            added = Client(connection=connection).keyed("q").add("k", 1)
        assert Client(connection=connection).keyed("q").state(added.id) == "gone"


def test_a_key_of_another_kind_of_job(pg: Database, client: Client) -> None:
    client.enqueue("other", queue="q", unique_key="k")
    with pytest.raises(Exception, match="which is no item"):
        client.keyed("q").add("k", 1)
    assert isinstance(pg.connect(), psycopg.Connection)

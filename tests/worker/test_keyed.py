"""Keyed executors in workers: what they return, how they are stopped, what crashes and budgets do to them."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgqueue import App, AsyncClient, Client, ItemCancelled, ItemFailed, KeyedItem, KeyedQueue
from tests.support.cluster import Database
from tests.worker.harness import DEADLINE, Inside, Jobs, Process, until
from tests.worker.keyedapp import app as keyed_app
from tests.worker.rowsapp import noted


class Items:
    """The keyed queues of a test, and its workers."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.dsn = database.dsn
        self.client = Client(database.dsn)
        self.connection = database.connect()
        self.file = folder / "notes"
        self.gate = folder / "gate"

    def queue(self, name: str) -> KeyedQueue:
        return self.client.keyed(name)

    def add(self, queue: str, key: str, payload: Any = None, *, max_attempts: int = 1) -> int:
        given = {"file": str(self.file), "gate": str(self.gate), **(payload or {})}
        return self.queue(queue).add(key, given, max_attempts=max_attempts).id

    def wait(self, id: int) -> Any:
        return self.queue("any").wait(id, DEADLINE)

    def worker(self, *queues: str, app: App = keyed_app, **settings: Any) -> Inside:
        return Inside(app, self.dsn, queues=queues or None, **settings)

    def process(self, *queues: str, **settings: Any) -> Process:
        return Process(self.dsn, app="tests.worker.keyedapp:app", queues=queues, **settings)

    def notes(self) -> list[str]:
        return noted(self.file)

    def until_noted(self, text: str, count: int = 1) -> None:
        until(lambda: sum(note.startswith(text) for note in self.notes()) >= count, f"{count} notes {text!r}")


@pytest.fixture
def items(pg: Database, tmp_path: Path) -> Iterator[Items]:
    made = Items(pg, tmp_path)
    yield made
    made.client.close()


# -- outcomes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("queue", ["echo", "aecho"])
def test_results_and_failures(queue: str, items: Items) -> None:
    good = items.add(queue, "k", {"nul": "a\0b", "n": 2**100})
    bad = items.add(queue, "bad", {"raise": "out of order"})
    mute = items.add(queue, "mute", {"raise": ""})
    unfit = items.add(queue, "unfit", {"unfit": True})
    with items.worker(queue):
        found = items.wait(good)
        assert (found["key"], found["extra"], found["attempt"]) == ("k", {}, 1)
        assert (found["payload"]["nul"], found["payload"]["n"]) == ("a\0b", 2**100)
        with pytest.raises(ItemFailed, match="out of order"):
            items.wait(bad)
        with pytest.raises(ItemFailed, match=r"^ValueError"):
            items.wait(mute)
        with pytest.raises(ItemFailed, match="set, which JSON cannot carry"):
            items.wait(unfit)
    assert items.queue(queue).keys() == []


def test_an_item_may_have_several_attempts(items: Items) -> None:
    id = items.add("echo", "k", {"raise": "again"}, max_attempts=2)
    with items.worker("echo"):
        Jobs(items.connection).until(id, "scheduled")
        items.connection.execute("select pgqueue.reschedule(%s, now())", (id,))
        with pytest.raises(ItemFailed, match="again"):
            items.wait(id)
    assert len(items.notes()) == 2


def test_a_worker_without_the_executor_gives_items_back(items: Items) -> None:
    id = items.add("echo", "k")
    app = App()

    @app.task(queue="echo")
    def other() -> None:
        """Nothing."""

    with items.worker("echo", app=app) as worker:
        worker.wait("job_ended", kind="keyed.item", outcome="release")
    with items.worker("echo"):
        assert items.wait(id)["attempt"] == 1


def test_what_a_payload_is_not(items: Items) -> None:
    id = items.client.keyed("echo", text=True).add("k", "no json").id
    with items.worker("echo"):
        with pytest.raises(ItemFailed, match="is no JSON"):
            items.wait(id)


def test_a_worker_serves_the_queues_of_its_executors(items: Items) -> None:
    ids = [items.add("echo", "a"), items.queue("own").add(
        "b", {"file": str(items.file)}, process_id="p", exclusive=True).id]  # fmt: skip
    foreign = items.queue("own").add("c", 1, process_id="other", exclusive=True).id
    with items.worker():
        assert [items.wait(id) for id in ids][1] == "b"
    assert items.queue("own").state(foreign) == "pending"


# -- stopping -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("queue", ["short", "ashort"])
def test_past_its_timeout_an_item_fails_and_its_handle_is_cancelled(queue: str, items: Items) -> None:
    id = items.add(queue, "k")
    with items.worker(queue):
        with pytest.raises(ItemFailed, match="timeout"):
            items.wait(id)
        items.until_noted("cancel k h-k")
    assert "stopped k" in items.notes()


def test_on_cancel_ends_what_blocks_a_thread(items: Items) -> None:
    """A sync executor that waits for somebody else is not told otherwise."""
    app = App()
    ended = threading.Event()

    @app.keyed("q", timeout=0.2, on_cancel=lambda item: ended.set())
    def blocked(item: KeyedItem) -> bool:
        return ended.wait(DEADLINE)

    id = items.add("q", "k")
    with items.worker("q", app=app, patience=DEADLINE) as worker:
        with pytest.raises(ItemFailed, match="timeout"):
            items.wait(id)
        assert not worker.seen("stuck")


@pytest.mark.parametrize("queue", ["gate", "agate"])
def test_a_cancel_elsewhere_reaches_the_executor(queue: str, items: Items) -> None:
    id, stays = items.add(queue, "k"), items.add(queue, "other")
    with items.process(queue, heartbeat_interval=60.0) as worker:
        items.until_noted("begin", 2)
        gone = items.queue(queue).cancel("k")
        assert gone is not None
        assert gone.extra == {"handle": "h-k"}
        with pytest.raises(ItemCancelled):
            items.wait(id)
        items.until_noted("cancel k h-k")
        items.until_noted("stopped k")
        assert not items.queue(queue).ack(id=id, result="late")
        again = items.add(queue, "k")
        assert again != id
        items.gate.touch()
        assert (items.wait(again), items.wait(stays)) == ("opened", "opened")
        assert not [note for note in items.notes() if note.startswith("cancel other")]
        worker.wait("lost")


def test_a_stop_gives_items_back_and_tells_the_handle(items: Items) -> None:
    id = items.add("agate", "k")
    with items.worker("agate", grace=0.1) as worker:
        items.until_noted("begin k")
        worker.stop()
    assert items.queue("agate").state(id) == "pending"
    assert "cancel k h-k" in items.notes()
    items.gate.touch()
    with items.worker("agate"):
        assert items.wait(id) == "opened"


def test_errors_of_on_cancel_harm_nobody(items: Items) -> None:
    app = App()

    def on_cancel(item: KeyedItem) -> None:
        raise RuntimeError("no")

    @app.keyed("q", timeout=0.1, on_cancel=on_cancel)
    async def forever(item: KeyedItem) -> None:
        await asyncio.Event().wait()

    id = items.add("q", "k")
    with items.worker("q", app=app):
        with pytest.raises(ItemFailed, match="timeout"):
            items.wait(id)


# -- crashes, heartbeats, budgets ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_when_a_holder_is_killed_another_runs_it(items: Items) -> None:
    items.client.configure({"lost_after": 1})
    id = items.add("gate", "k")
    with items.process("gate") as first:
        items.until_noted("begin k")
        first.signal(signal.SIGKILL)
        first.exit_code()
    items.gate.touch()
    with items.process("gate"):
        assert items.wait(id) == "opened"
    assert len({note.split()[2] for note in items.notes() if note.startswith("begin")}) == 2


def test_a_long_one_survives_on_the_heartbeats_of_its_worker(items: Items) -> None:
    id = items.add("agate", "k")
    with items.worker("agate") as worker:
        items.until_noted("begin k")
        worker.wait("heartbeat", count=len(worker.seen("heartbeat")) + 4)
        assert items.queue("agate").reap(stalled=1, orphan=0) == []
        items.gate.touch()
        assert items.wait(id) == "opened"


@pytest.mark.slow
def test_24_items_over_3_workers_never_more_than_2_at_a_time(items: Items) -> None:
    ids = [items.add("two", str(n)) for n in range(24)]
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(items.process("two", "echo"))
        assert [items.wait(id) for id in ids] == list(range(24))
    running = most = 0
    for note in items.notes():
        running += 1 if note.startswith("begin") else -1
        most = max(most, running)
    assert (most, running) == (2, 0)
    assert items.client.configure_queue("two", {})["max_running"] == 2


def test_a_worker_needs_no_more_than_its_role(items: Items, pg: Database) -> None:
    """But for the budget, which is then somebody else's to set."""
    role = f"keyed_{pg.name}"
    items.connection.execute(f"create role {role} login in role pgqueue_worker".encode())
    try:
        id = items.add("two", "1", {"seconds": 0})
        other = items.add("agate", "k")
        items.gate.touch()
        with Inside(keyed_app, make_conninfo(pg.dsn, user=role), queues=["two", "agate"]):
            assert (items.wait(id), items.wait(other)) == (1, "opened")
        assert items.client.configure_queue("two", {}).get("max_running") is None
    finally:
        items.connection.execute(f"drop role {role}".encode())


def test_workers_and_clients_share_a_budget(items: Items) -> None:
    items.add("two", "1")
    assert items.queue("two").claim("1").refused is None
    items.client.configure_queue("two", {"max_running": 1})
    held = items.queue("two").active()[0].id
    later = items.add("two", "2")
    with items.worker("two", "echo"):
        # its start sets the budget to 2 again, of which the client has one
        assert items.wait(later) == 2
        assert items.queue("two").ack(id=held, result=0)


def test_what_nobody_asks_for_is_removed_in_a_busy_queue(items: Items) -> None:
    running = items.add("one", "runs")
    with items.worker("one"):
        items.until_noted("begin runs")
        id = items.add("one", "forgotten")
        items.until_noted("cancel forgotten None")
        with pytest.raises(ItemCancelled):
            items.wait(id)
        items.gate.touch()
        again = items.add("one", "forgotten")
        assert (items.wait(running), items.wait(again)) == ("opened", "opened")


def test_who_goes_on_waiting_in_a_busy_queue_is_served(items: Items) -> None:
    items.add("one", "runs")

    async def past_its_first_deadline(key: str) -> bool:
        async with await psycopg.AsyncConnection.connect(items.dsn) as connection:
            query = "select orphan_at < clock_timestamp() from pgqueue.keyed_item where key = %s"
            row = await (await connection.execute(query, (key,))).fetchone()
            return row == (True,)

    async def ask() -> Any:
        async with AsyncClient(items.dsn) as client:
            payload = {"file": str(items.file), "gate": str(items.gate)}
            asking = asyncio.create_task(
                client.keyed("one").get_or_run("wanted", payload, timeout=DEADLINE, orphan=0.6)
            )
            while not await client.keyed("one").get("wanted"):
                await asyncio.sleep(0.01)
            await client.keyed("one").add("forgotten", payload)
            while "cancel forgotten None" not in items.notes():
                await asyncio.sleep(0.01)
            while not await past_its_first_deadline("wanted"):  # which the waiting moves on
                await asyncio.sleep(0.01)
            items.gate.touch()
            return await asking

    with items.worker("one"):
        items.until_noted("begin runs")
        assert asyncio.run(ask()) == "opened"


def test_two_callers_on_two_nodes_get_one_execution(items: Items) -> None:
    async def ask(dsn: str) -> Any:
        async with AsyncClient(dsn) as client:
            return await client.keyed("gate").get_or_run(
                "k", {"file": str(items.file), "gate": str(items.gate)}, timeout=DEADLINE
            )

    answers: list[Any] = []
    callers = [threading.Thread(target=lambda: answers.append(asyncio.run(ask(items.dsn)))) for _ in range(2)]
    with items.worker("gate"):
        for caller in callers:
            caller.start()
        items.until_noted("begin k")
        until(
            lambda: items.connection.execute("select count(*) from pgqueue.waiter").fetchone() == (2,), "two who wait"
        )
        items.gate.touch()
        for caller in callers:
            caller.join(DEADLINE)
    assert answers == ["opened", "opened"]
    assert len([note for note in items.notes() if note.startswith("begin")]) == 1


def test_priorities_within_a_budget_of_one(items: Items) -> None:
    for key, priority in (("-9", -9), ("-8", -8), ("-7", -7), ("10", 10)):
        items.queue("q").add(key, {}, priority=priority)
    app = App()
    seen: list[str] = []

    @app.keyed("q", concurrency=1)
    async def note_key(item: KeyedItem) -> None:
        seen.append(item.key)

    with items.worker("q", app=app):
        until(lambda: len(seen) == 4, "four items")
    assert seen == ["10", "-7", "-8", "-9"]

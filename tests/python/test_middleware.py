"""Middleware: around every enqueue, in order, whatever the way; and around what runs in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from pgqueue import App, Context, InvalidArgument, JobRun, Middleware, NewJob, NotSerialisable, Retry, Snooze
from pgqueue._hooks import AppHooks
from pgqueue.context import ContextHooks
from pgqueue.keyed import KeyedItem
from pgqueue.middleware import AsyncEnqueue, AsyncRun, Enqueue, Run
from pgqueue.models import ClaimedJob, Enqueued
from pgqueue.rows import Row
from pgqueue.testing import adrain, drain
from tests.support.cluster import Database

said: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    said.clear()


@pytest.fixture
def connection(pg: Database) -> Iterator[psycopg.Connection[Any]]:
    with pg.connect() as connection:
        yield connection


class Speaker(Middleware):
    """Says what it sees, under its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def before_enqueue(self, job: NewJob, /) -> None:
        said.append(f"{self.name} before {job.kind}")

    def enqueue(self, job: NewJob, proceed: Enqueue, /) -> Enqueued:
        said.append(f"{self.name} enqueue")
        answer = proceed(job)
        said.append(f"{self.name} enqueued")
        return answer

    async def aenqueue(self, job: NewJob, proceed: AsyncEnqueue, /) -> Enqueued:
        said.append(f"{self.name} aenqueue")
        answer = await proceed(job)
        said.append(f"{self.name} enqueued")
        return answer

    def execute(self, job: JobRun, proceed: Run, /) -> Any:
        said.append(f"{self.name} execute {job.kind} {job.args}")
        try:
            value = proceed(job)
        except Exception as error:
            said.append(f"{self.name} saw {error}")
            raise
        said.append(f"{self.name} got {value}")
        return value

    async def aexecute(self, job: JobRun, proceed: AsyncRun, /) -> Any:
        said.append(f"{self.name} aexecute {job.kind} {job.args}")
        value = await proceed(job)
        said.append(f"{self.name} got {value}")
        return value


@contextmanager
def app_of(pg: Database, *middleware: Any) -> Iterator[App]:
    app = App(pg.dsn, middleware=middleware)

    @app.task
    def add(a: int, b: int) -> int:
        said.append("handler")
        return a + b

    @app.task
    async def aadd(a: int, b: int) -> int:
        await asyncio.sleep(0)
        said.append("handler")
        return a + b

    @app.task(max_attempts=1)
    def fail() -> None:
        raise ValueError("the handler's")

    yield app
    app.close()


# -- enqueue ----------------------------------------------------------------------------------------------------------


def test_the_first_one_given_is_the_outermost(pg: Database) -> None:
    with app_of(pg, Speaker("one")) as app:
        app.use(Speaker("two"))
        id = app.tasks["add"].enqueue(1, 2).id
    assert id > 0
    assert said == [
        "one before add",
        "two before add",
        "one enqueue",
        "two enqueue",
        "two enqueued",
        "one enqueued",
    ]


def test_it_is_there_for_async_code_and_for_kinds_whose_code_is_elsewhere(pg: Database) -> None:
    async def main(app: App) -> None:
        await app.tasks["add"].aenqueue(1, 2)
        await app.aenqueue("elsewhere", {"x": 1})
        await app.aclose()

    with app_of(pg, Speaker("m")) as app:
        asyncio.run(main(app))
        app.enqueue("elsewhere")
    three = ["m before add", "m aenqueue", "m enqueued", "m before elsewhere", "m aenqueue", "m enqueued"]
    assert said == [*three, "m before elsewhere", "m enqueue", "m enqueued"]


class Rewriting(Middleware):
    def before_enqueue(self, job: NewJob, /) -> NewJob:
        return NewJob(
            job.kind,
            {**job.args, "b": 40},
            "other",
            {**job.headers, "by": "rewriting"},
            {**job.options, "priority": 7, "unique_key": f"key of {job.options['unique_key']}"},
        )


def test_a_job_can_be_changed_all_over(pg: Database) -> None:
    headers = {"mine": 1}
    with app_of(pg, Rewriting()) as app:
        task = app.tasks["add"].options(unique_key=lambda a, b: f"{a} and {b}", headers=headers)
        job = task.enqueue(1, 2).job()
    assert (job.args, job.queue, job.priority) == ({"a": 1, "b": 40}, "other", 7)
    assert job.headers == {"mine": 1, "by": "rewriting"}
    assert job.unique_key == "key of 1 and 2", "keys are made of the call's own arguments"
    assert headers == {"mine": 1}, "the copy was the middleware's, not the task's options"


def test_refusing_is_raising(pg: Database) -> None:
    class Guard:
        def before_enqueue(self, job: NewJob, /) -> None:
            if job.args["a"] == 13:
                raise PermissionError("not 13")

    with app_of(pg, Guard()) as app:
        add = app.tasks["add"]
        with pytest.raises(PermissionError, match="not 13"):
            add.enqueue(13, 1)
        with pytest.raises(PermissionError) as caught:
            add.enqueue_many([(1, 1), (13, 1)])
        assert caught.value.__notes__ == ["in element 2 of enqueue_many"]
        assert app.client.jobs() == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda job: job.options.update(colour="red"), "'colour' is no option of a job"),
        (lambda job: job.args.update(a=object()), "argument 'a' is of type object"),
        (lambda job: job.options.update(priority=100_000), "priority is 100000"),
    ],
)
def test_what_a_middleware_makes_is_checked(pg: Database, change: Any, complaint: str) -> None:
    class Careless:
        def before_enqueue(self, job: NewJob, /) -> None:
            change(job)

    with app_of(pg, Careless()) as app:
        with pytest.raises(InvalidArgument, match=complaint):
            app.tasks["add"].enqueue(1, 2)
        with pytest.raises(InvalidArgument, match=complaint):
            app.tasks["add"].enqueue_many([(1, 2)])


def test_who_forgets_to_return_is_told(pg: Database) -> None:
    class Forgetful:
        def enqueue(self, job: NewJob, proceed: Enqueue, /) -> Any:
            proceed(job)

    with app_of(pg, Forgetful()) as app, pytest.raises(InvalidArgument, match="Forgetful returned None for an enqueue"):
        app.tasks["add"].enqueue(1, 2)


# -- enqueue_many -----------------------------------------------------------------------------------------------------


def test_every_element_passes_and_neighbours_alike_share_a_statement(pg: Database) -> None:
    class Tenants:
        def before_enqueue(self, job: NewJob, /) -> None:
            job.headers["tenant"] = job.args["a"]
            job.options["group_key"] = f"g{job.args['a']}"

    async def elements() -> AsyncIterator[tuple[int, int]]:
        for n in range(20):
            yield n // 8, n

    async def main(app: App) -> list[int]:
        handles = await app.tasks["add"].aenqueue_many(elements(), progress=progress.append)
        await app.aclose()
        return list(handles.ids)

    progress: list[int] = []
    with app_of(pg, Tenants()) as app:
        for ids in (
            asyncio.run(main(app)),
            app.tasks["add"].enqueue_many([(n // 8, n) for n in range(20)], progress=progress.append).ids,
        ):
            jobs = [app.client.job(id) for id in ids]
            assert [job.args for job in jobs] == [{"a": n // 8, "b": n} for n in range(20)]
            assert [job.headers for job in jobs] == [{"tenant": n // 8} for n in range(20)]
            assert [job.group_key for job in jobs] == [f"g{n // 8}" for n in range(20)]
            assert app.client.job(ids[19]).queue == "default"
    assert progress == [8, 16, 20, 8, 16, 20]


def test_neighbours_that_are_only_equal_are_not_alike(pg: Database) -> None:
    class Same:
        def before_enqueue(self, job: NewJob, /) -> None:
            job.headers["same"] = [1, True, 1.0][int(str(job.args["a"]))]

    with app_of(pg, Same()) as app:
        ids = app.tasks["add"].enqueue_many([(n, n) for n in range(3)]).ids
        assert [repr(app.client.job(id).headers) for id in ids] == ["{'same': 1}", "{'same': True}", "{'same': 1.0}"]


def test_what_before_enqueue_returns_is_a_job(pg: Database) -> None:
    class Approving:
        def before_enqueue(self, job: NewJob, /) -> Any:
            return False

    with app_of(pg, Approving()) as app, pytest.raises(InvalidArgument, match="before_enqueue returned False"):
        app.tasks["add"].enqueue(1, 2)


def test_all_or_nothing_stays(pg: Database) -> None:
    class Each:
        def before_enqueue(self, job: NewJob, /) -> None:
            job.headers["n"] = job.args["b"]

    def elements() -> Iterator[Any]:
        yield from ((1, n) for n in range(2500))
        yield (1, {2})

    with app_of(pg, Each()) as app:
        with pytest.raises(NotSerialisable, match="element 2501: argument 'b' is of type set"):
            app.tasks["add"].enqueue_many(elements())
        assert app.client.jobs() == []
        assert app.tasks["add"].enqueue_many(((1, n) for n in range(30)), handles=False) == (30, 30)


def test_enqueue_many_does_not_pass_by_a_middleware(pg: Database) -> None:
    class Around:
        def enqueue(self, job: NewJob, proceed: Enqueue, /) -> Enqueued:
            return proceed(job)

    with app_of(pg, Around()) as app:
        with pytest.raises(InvalidArgument, match="Around: it has no before_enqueue"):
            app.tasks["add"].enqueue_many([(1, 2)])
        with pytest.raises(InvalidArgument, match="Around has enqueue and no aenqueue"):
            asyncio.run(app.tasks["add"].aenqueue(1, 2))


# -- what can be one --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("middleware", "complaint"),
    [
        (object(), "is no middleware"),
        (Middleware(), "is no middleware"),
        (Speaker, "is no middleware"),
        (type("A", (), {"execute": Speaker.aexecute})(), "execute is a coroutine function"),
        (type("B", (), {"before_enqueue": Speaker.aexecute})(), "before_enqueue is a coroutine function"),
    ],
)
def test_what_is_no_middleware(middleware: Any, complaint: str) -> None:
    with pytest.raises(InvalidArgument, match=complaint):
        App(middleware=[middleware])


def test_nothing_is_wrapped_where_there_is_nothing_to_wrap() -> None:
    def run(job: JobRun) -> None: ...

    hooks = AppHooks([type("Enqueues", (), {"before_enqueue": lambda self, job: None})()])
    assert hooks.around(run, is_async=False) is run
    assert (hooks.at_enqueue, hooks.at_run) == (True, False)
    hooks = AppHooks([type("Runs", (), {"execute": lambda self, job, proceed: proceed(job)})()])
    assert (hooks.at_enqueue, hooks.at_run) == (False, True)
    none = AppHooks()
    assert not none.at_enqueue
    assert not none.at_run
    assert none.sealing(str) is str  # type: ignore[arg-type, comparison-overlap]


# -- run --------------------------------------------------------------------------------------------------------------


def test_execute_goes_around_sync_and_async_handlers(pg: Database, connection: psycopg.Connection[Any]) -> None:
    with app_of(pg, Speaker("one"), Speaker("two")) as app:
        app.client.enqueue("add", {"a": 1, "b": 2})
        [job] = drain(app, connection)
        assert job.result == 3
        args = {"a": 1, "b": 2}
        inside = ["handler", "two got 3", "one got 3"]
        assert said == [f"one execute add {args}", f"two execute add {args}", *inside]
        said.clear()
        app.client.enqueue("aadd", {"a": 1, "b": 2})
        [job] = drain(app, connection)
        assert job.result == 3
        assert said == [f"one aexecute aadd {args}", f"two aexecute aadd {args}", *inside]


def test_both_drains_take_both_kinds(pg: Database) -> None:
    async def main(app: App) -> list[Any]:
        async with await psycopg.AsyncConnection.connect(pg.dsn, autocommit=True) as own:
            jobs = await adrain(app, own)
        await app.aclose()
        return [job.result for job in jobs]

    with app_of(pg, Speaker("m")) as app:
        for kind in ("add", "aadd"):
            app.client.enqueue(kind, {"a": 1, "b": 2})
        assert asyncio.run(main(app)) == [3, 3]
    assert [line for line in said if "execute" in line] == [
        "m execute add {'a': 1, 'b': 2}",
        "m aexecute aadd {'a': 1, 'b': 2}",
    ]


def test_what_it_returns_is_the_outcome(pg: Database, connection: psycopg.Connection[Any]) -> None:
    class Deciding:
        def execute(self, job: JobRun, proceed: Run, /) -> Any:
            match job.args["b"]:
                case 0:
                    return Snooze(60)  # the handler is not called
                case 1:
                    return {"doubled": proceed(job) * 2}
                case 2:
                    job.args["b"] = 20
                    return proceed(job)
                case _:
                    proceed(job)
                    return Retry(error="once more")

        async def aexecute(self, job: JobRun, proceed: AsyncRun, /) -> Any:
            return await proceed(job)

    with app_of(pg, Deciding()) as app:
        for b in range(4):
            app.client.enqueue("add", {"a": 1, "b": b}, max_attempts=1)
        jobs = sorted(drain(app, connection), key=lambda job: job.id)
    assert [(job.state, job.result) for job in jobs] == [
        ("scheduled", None),
        ("succeeded", {"doubled": 4}),
        ("succeeded", 21),
        ("failed", None),
    ]
    assert said == ["handler"] * 3


def test_whose_exception_it_is(pg: Database, connection: psycopg.Connection[Any]) -> None:
    class Faulty:
        def execute(self, job: JobRun, proceed: Run, /) -> Any:
            proceed(job)
            raise RuntimeError("the middleware's")

    with app_of(pg, Speaker("m"), Faulty()) as app:
        app.client.enqueue("add", {"a": 1, "b": 2}, max_attempts=1)
        app.client.enqueue("fail")
        added, failed = drain(app, connection)
    assert added.error is not None
    assert failed.error is not None
    assert (added.state, added.error["type"], added.error["message"]) == ("failed", "RuntimeError", "the middleware's")
    assert "raised by the middleware Faulty, not by the handler" in added.error["traceback"]
    assert failed.error["type"] == "ValueError"
    assert "middleware Faulty" not in failed.error["traceback"].splitlines()[-1]
    assert "raised by" not in failed.error["traceback"]
    assert said[-1] == "m saw the handler's"


def test_a_handler_that_is_async_needs_the_async_one(pg: Database, connection: psycopg.Connection[Any]) -> None:
    class SyncOnly:
        def execute(self, job: JobRun, proceed: Run, /) -> Any:
            return proceed(job)

    with app_of(pg, SyncOnly()) as app:
        app.client.enqueue("aadd", {"a": 1, "b": 2})
        with pytest.raises(InvalidArgument, match="SyncOnly has execute and no aexecute"):
            drain(app, connection, reraise=True)


def test_what_it_knows_of_the_job(pg: Database, connection: psycopg.Connection[Any]) -> None:
    seen: list[Any] = []

    class Looking:
        def execute(self, job: JobRun, proceed: Run, /) -> Any:
            job.context.progress({"seen": job.id})
            seen.append((job.id, job.kind, job.queue, job.attempt, job.max_attempts, job.headers, repr(job)))
            return proceed(job)

    app = App(pg.dsn, middleware=[Looking()])

    @app.task(queue="q", max_attempts=3)
    def same(context: Context) -> int:
        return context.job_id

    id = same.options(headers={"h": 1}).enqueue().id
    [job] = drain(app, connection)
    assert job.result == id
    assert seen == [(id, "same", "q", 1, 3, {"h": 1}, f"<JobRun {id} same attempt 1>")]
    app.close()


# -- rows and keyed queues --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [False, True])
def test_a_slice_of_rows_is_one_call(pg: Database, connection: psycopg.Connection[Any], is_async: bool) -> None:
    app = App(pg.dsn, middleware=[Speaker("m")])

    async def aprice(row: Row) -> float:
        return row.input * 2.0

    def price(row: Row) -> float:
        return row.input * 2.0

    app.processor("shop", "price")(aprice if is_async else price)
    batch = app.batches.submit("shop", "price", None, [(1, 10), (2, 20)])
    drain(app, connection)
    assert [row.result for row in app.batches.rows(batch)] == [20.0, 40.0]
    word = "aexecute" if is_async else "execute"
    assert [line.split(" {")[0] for line in said] == [f"m {word} rows.slice", "m got None"]
    app.close()


def test_a_middleware_may_put_off_a_slice_but_not_lose_it(pg: Database, connection: psycopg.Connection[Any]) -> None:
    answers: list[Any] = [None, Snooze(0)]

    class Holding:
        def execute(self, job: JobRun, proceed: Run, /) -> Any:
            return answers.pop(0) if answers else proceed(job)

    app = App(pg.dsn, middleware=[Holding()])

    @app.processor("shop", "price")
    def price(row: Row) -> float:
        return row.input * 2.0

    batch = app.batches.submit("shop", "price", None, [(1, 10)])
    [job] = drain(app, connection)
    assert job.state == "scheduled"
    assert "kept a slice of rows" in app.client.attempts(job.id)[0].error["message"]  # type: ignore[index]
    app.client.reschedule(job.id, job.created_at)
    drain(app, connection, due=True)
    drain(app, connection, due=True)
    assert [row.result for row in app.batches.rows(batch)] == [20.0]
    app.close()


@pytest.mark.parametrize("is_async", [False, True])
def test_an_executor_of_a_keyed_queue_has_it_around(
    pg: Database, connection: psycopg.Connection[Any], is_async: bool
) -> None:
    app = App(pg.dsn, middleware=[Speaker("m")])

    def report(item: KeyedItem) -> Any:
        return {"of": item.payload}

    async def areport(item: KeyedItem) -> Any:
        return {"of": item.payload}

    app.keyed("reports")(areport if is_async else report)
    queue = app.keyed_queue("reports")
    added = queue.add("k", {"sql": 1})
    drain(app, connection)
    assert queue.result_by_id(added.id).payload == {"of": {"sql": 1}}
    word = "aexecute" if is_async else "execute"
    assert said == [f"m {word} keyed.item {{'key': 'k', 'payload': {{'sql': 1}}}}", "m got {'of': {'sql': 1}}"]
    app.close()


def test_a_run_needs_no_server() -> None:
    """What a worker does for each job, by itself."""

    class NoHooks:
        job_logs = False

        def log(self, job: Any, line: Any) -> None: ...
        def parents(self, job: Any) -> list[Any]:
            return []

        async def aparents(self, job: Any) -> list[Any]:
            return []

        def progress(self, job: Any, value: Any) -> None: ...
        async def aprogress(self, job: Any, value: Any) -> None: ...

    hooks: ContextHooks = NoHooks()
    app = App(middleware=[Speaker("m")])

    @app.task
    async def add(a: int, b: int) -> int:
        return a + b

    job = ClaimedJob.__new__(ClaimedJob)
    for name, value in {"id": 1, "kind": "add", "queue": "q", "attempt": 1, "headers": None}.items():
        object.__setattr__(job, name, value)
    assert asyncio.run(app.hooks.runner(add)({"a": 1, "b": 2}, Context(job, hooks))) == 3

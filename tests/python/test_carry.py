"""Context variables that travel with jobs."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import date
from typing import Any, TypeVar

import psycopg
import pytest

from pgqueue import App, InvalidArgument, JobRun, NewJob, NotSerialisable
from pgqueue.middleware import Enqueue, Run
from pgqueue.models import JSON, Enqueued
from pgqueue.testing import adrain, drain
from tests.support.cluster import Database

T = TypeVar("T")

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")
day: ContextVar[date] = ContextVar("day")
anything: ContextVar[Any] = ContextVar("anything")


@pytest.fixture
def connection(pg: Database) -> Iterator[psycopg.Connection[Any]]:
    with pg.connect() as connection:
        yield connection


@pytest.fixture
def app(pg: Database) -> Iterator[App]:
    app = App(pg.dsn)
    app.carry(tenant)
    app.carry(day, "on", date.isoformat, lambda value: date.fromisoformat(str(value)))

    @app.task
    def look(depth: int = 0) -> list[str]:
        if depth:
            look.enqueue(depth - 1)
        return [tenant.get(), str(day.get(None))]

    @app.task
    async def alook() -> list[str]:
        await asyncio.sleep(0)
        return [tenant.get(), str(day.get(None))]

    yield app
    app.close()


def inside(function: Callable[[], T], **values: Any) -> T:
    """Calls it with variables set, as in a request; outside nothing is seen of them."""

    def run() -> T:
        for var in (tenant, day, anything):
            if var.name in values:
                var.set(values[var.name])
        return function()

    return contextvars.copy_context().run(run)


# -- there and back ---------------------------------------------------------------------------------------------------


def test_values_travel_in_a_header(app: App) -> None:
    job = inside(lambda: app.tasks["look"].enqueue().job(), tenant="ada", day=date(2030, 1, 2))
    assert job.headers == {"context": {"tenant": "ada", "on": "2030-01-02"}}


def test_what_is_not_set_is_not_carried(app: App) -> None:
    assert app.tasks["look"].enqueue().job().headers is None, "a default is no value"
    job = inside(lambda: app.tasks["look"].options(headers={"h": 1}).enqueue().job(), tenant="ada")
    assert job.headers == {"h": 1, "context": {"tenant": "ada"}}


def test_what_the_call_says_counts(app: App) -> None:
    task = app.tasks["look"].options(headers={"context": {"tenant": "bob", "other": 1}})
    job = inside(lambda: task.enqueue().job(), tenant="ada", day=date(2030, 1, 2))
    assert job.headers == {"context": {"tenant": "bob", "other": 1, "on": "2030-01-02"}}
    with pytest.raises(InvalidArgument, match="the header 'context' is no object"):
        inside(app.tasks["look"].options(headers={"context": "mine"}).enqueue, tenant="ada")
    assert app.tasks["look"].options(headers={"context": "mine"}).enqueue().job().headers == {"context": "mine"}


@pytest.mark.parametrize("kind", ["look", "alook"])
def test_handlers_see_them_and_nobody_after(app: App, connection: psycopg.Connection[Any], kind: str) -> None:
    inside(app.tasks[kind].enqueue, tenant="ada", day=date(2030, 1, 2))
    app.tasks[kind].enqueue()
    assert [job.result for job in drain(app, connection)] == [["ada", "2030-01-02"], ["nobody", "None"]]
    assert tenant.get() == "nobody"


def test_both_kinds_on_an_event_loop(app: App, pg: Database) -> None:
    async def main() -> list[Any]:
        async with await psycopg.AsyncConnection.connect(pg.dsn, autocommit=True) as own:
            jobs = await adrain(app, own)
        await app.aclose()
        return [job.result for job in jobs]

    for kind in ("look", "alook"):
        inside(app.tasks[kind].enqueue, tenant="ada")
    assert asyncio.run(main()) == [["ada", "None"]] * 2


def test_what_a_handler_enqueues_carries_them_on(app: App, connection: psycopg.Connection[Any]) -> None:
    inside(lambda: app.tasks["look"].enqueue(depth=2), tenant="ada")
    assert [job.result for job in drain(app, connection)] == [["ada", "None"]] * 3


def test_all_ways_to_enqueue(app: App) -> None:
    async def aways() -> list[int]:
        ids = [(await app.aenqueue("look")).id, (await app.tasks["look"].aenqueue()).id]
        ids += (await app.tasks["look"].aenqueue_many([()])).ids
        await app.aclose()
        return ids

    def ways() -> list[int]:
        ids = [app.enqueue("look").id, *app.tasks["look"].enqueue_many([(), ()]).ids]
        return ids + asyncio.run(aways())

    for id in inside(ways, tenant="ada"):
        assert app.client.job(id).headers == {"context": {"tenant": "ada"}}


def test_elements_of_one_input_may_differ(app: App) -> None:
    def elements() -> Iterator[tuple[()]]:
        for name in ("ada", "ada", "bob"):
            tenant.set(name)
            yield ()

    ids = inside(lambda: app.tasks["look"].enqueue_many(elements()).ids)
    headers: list[Any] = [app.client.job(id).headers for id in ids]
    assert [each["context"]["tenant"] for each in headers] == ["ada", "ada", "bob"]


# -- with middleware --------------------------------------------------------------------------------------------------


def test_middleware_stands_between_the_caller_and_the_header_and_between_the_header_and_the_handler(
    app: App, connection: psycopg.Connection[Any]
) -> None:
    seen: list[str] = []

    class Suffix:
        def before_enqueue(self, job: NewJob, /) -> None: ...

        def enqueue(self, job: NewJob, proceed: Enqueue, /) -> Enqueued:
            token = tenant.set(f"{tenant.get()}!")
            try:
                return proceed(job)
            finally:
                tenant.reset(token)

        def execute(self, job: JobRun, proceed: Run, /) -> Any:
            seen.append(tenant.get())
            return proceed(job)

    app.use(Suffix())
    inside(app.tasks["look"].enqueue, tenant="ada")
    [job] = drain(app, connection)
    assert (job.result, seen) == (["ada!", "None"], ["ada!"])


# -- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [object(), {1}, float("nan"), "a\0b", {"deep": [b"x"]}])
def test_what_is_no_json_is_named(app: App, value: Any) -> None:
    app.carry(anything, "thing")
    with pytest.raises(NotSerialisable, match="the carried variable 'thing'"):
        inside(app.tasks["look"].enqueue, anything=value)
    assert app.client.jobs() == []


def test_json_of_any_shape(app: App) -> None:
    app.carry(anything)
    value: JSON = {"a": [1, None, {"b": "ü"}]}
    job = inside(lambda: app.tasks["look"].enqueue().job(), anything=value)
    assert job.headers == {"context": {"anything": value}}
    job = inside(lambda: app.tasks["look"].enqueue().job(), anything=None)
    assert job.headers == {"context": {"anything": None}}, "None is a value"


def test_a_value_that_cannot_be_decoded_fails_the_job(app: App, connection: psycopg.Connection[Any]) -> None:
    app.tasks["look"].options(headers={"context": {"tenant": "ada", "on": "soon"}}, max_attempts=1).enqueue()
    app.tasks["look"].enqueue()
    job, after = drain(app, connection)
    assert job.error is not None
    assert job.error["type"] == "ValueError"
    assert "raised by the decoding of the carried variable 'on'" in job.error["traceback"]
    assert after.result == ["nobody", "None"]


def test_names_are_taken_once(app: App) -> None:
    with pytest.raises(InvalidArgument, match="is carried as 'tenant' already"):
        app.carry(tenant)
    with pytest.raises(InvalidArgument, match="'' cannot be the name"):
        app.carry(anything, "")
    app.carry(tenant, "tenant2")

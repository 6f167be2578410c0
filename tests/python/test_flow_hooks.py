"""Flows, follow-ups and unique keys together with what an App puts around its jobs: middleware, carried variables,
codecs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextvars import ContextVar, copy_context
from datetime import date
from typing import Any

import psycopg
import pytest

from pgqueue import App, Context, InvalidArgument, NewJob, chain, error, group, result
from pgqueue._calls import Calls
from pgqueue._flowplan import Plan
from pgqueue.codec import sealed_with
from pgqueue.flow import Step
from pgqueue.middleware import Enqueue, JobRun, Run
from pgqueue.models import Enqueued
from pgqueue.testing import adrain, drain
from tests.support.cluster import Database

tenant: ContextVar[str] = ContextVar("tenant")


class Xor:
    """Nothing anybody reads by accident, and never twice the same."""

    count = 0

    def __init__(self, key_id: str = "k1") -> None:
        self.key_id = key_id

    def encode(self, data: bytes) -> bytes:
        Xor.count += 1
        return Xor.count.to_bytes(8) + bytes(byte ^ 42 for byte in data)

    def decode(self, data: bytes) -> bytes:
        return bytes(byte ^ 42 for byte in data[8:])


class Before:
    """Does something to every job."""

    def __init__(self, change: Callable[[NewJob], NewJob | None]) -> None:
        self.before_enqueue = change


@pytest.fixture
def make(pg: Database) -> Iterator[Callable[..., App]]:
    """Apps with the same tasks and other hooks."""
    apps: list[App] = []

    def made(**options: Any) -> App:
        app = App(pg.dsn, name="hooked", **options)
        apps.append(app)

        @app.task
        def value(x: Any) -> Any:
            return x

        @app.task
        def day(text: str) -> date:
            return date.fromisoformat(text)

        @app.task
        async def year(when: date) -> int:
            assert isinstance(when, date)
            return when.year

        @app.task
        def total(numbers: list[int], title: str = "all") -> str:
            return f"{title}: {sum(numbers)}"

        @app.task(max_attempts=1)
        def fails(text: str) -> None:
            raise LookupError(text)

        @app.task
        def sees(ctx: Context) -> list[Any]:
            return [[each.kind, each.result, (each.error or {}).get("message")] for each in ctx.parents()]

        @app.task
        async def asees(ctx: Context, x: Any) -> list[Any]:
            return [x, [each.result for each in await ctx.aparents()], tenant.get(None)]

        @app.task(unique_by=["key"], on_duplicate="replace")
        def once(key: str, text: str = "") -> str:
            return text

        return app

    yield made
    for app in apps:
        app.close()


@pytest.fixture
def connection(pg: Database) -> Iterator[psycopg.Connection[Any]]:
    with pg.connect() as connection:
        yield connection


def everything(connection: psycopg.Connection[Any]) -> str:
    """What the database knows of jobs."""
    rows = connection.execute("""
        select j::text from pgqueue.job j union all select o::text from pgqueue.outcome o
        union all select a::text from pgqueue.attempt_error a union all select f::text from pgqueue.follow_up f""")
    return "\n".join(row[0] for row in rows)


def statements(app: App, flow: Step[Any]) -> list[tuple[int, str]]:
    """What the flow would send: jobs, and the SQL function."""
    plan = Plan(Calls(), flow._plan()[1]._walk, app.hooks)
    found = []
    for part in plan.slices():
        found.append((len(part), plan.call(part).sql.split("(")[0].rpartition(".")[2]))
        plan.take([(number, True) for number in range(len(part))])
    return found


# -- codecs -----------------------------------------------------------------------------------------------------------


def test_a_sealed_flow(make: Callable[..., App], connection: psycopg.Connection[Any]) -> None:
    app = make(codec=Xor())
    value, day, year, total = (app.tasks[name] for name in ("value", "day", "year", "total"))
    years = group(chain(day.s(f"{2030 + n}-01-02"), year.s(result)) for n in range(3))
    flow = chain(value.s("swordfish"), years, total.s(result, title="swordfish"), value.s(result)).enqueue()
    drain(app)
    assert flow.result(timeout=10) == "swordfish: 6093"
    for text in ("sword", "2031", "6093"):
        assert text not in everything(connection)
    assert [handle.job().result for handle in flow][-2:] == ["swordfish: 6093"] * 2


def test_a_member_that_failed_and_one_that_is_seen(make: Callable[..., App], connection: Any) -> None:
    app = make(codec=Xor(), seal_errors=True)
    value, fails, sees, asees = (app.tasks[name] for name in ("value", "fails", "sees", "asees"))
    members = group([value.s("swordfish"), fails.s("marlin")])
    seen = members.then(sees.s(), on_parent_failure="run").then(asees.s(result)).enqueue()
    drain(app)
    told = [["value", "swordfish", None], ["fails", None, "marlin"]]
    assert seen.result(timeout=10) == [told, [told], None]
    assert "sword" not in everything(connection) and "marlin" not in everything(connection)


def test_a_result_that_looks_sealed_is_not_opened_twice(make: Callable[..., App]) -> None:
    app = make(codec=Xor())
    value, asees = app.tasks["value"], app.tasks["asees"]
    odd = {"$sealed": "x", "codec": "k1"}
    flow = chain(value.s({"within": odd}), value.s(result), asees.s(result)).enqueue()
    drain(app)
    assert flow.result(timeout=10) == [{"within": odd}, [{"within": odd}], None]


@pytest.mark.parametrize("codec", [None, Xor("k2")])
def test_who_cannot_open_a_parents_result_fails_at_once(make: Callable[..., App], codec: Any) -> None:
    app = make(codec=Xor())
    first = app.tasks["value"].enqueue("swordfish")
    drain(app)
    other = make(codec=codec)
    for task in ("value", "asees"):
        child = other.tasks[task].options(depends_on=first, max_attempts=5).enqueue(result)
        drain(other)
        job = child.job()
        assert (job.state, job.attempt, (job.error or {})["type"]) == ("failed", 1, "pgqueue.errors.CannotUnseal")


def test_follow_ups_are_sealed_and_opened(make: Callable[..., App], connection: psycopg.Connection[Any]) -> None:
    app = make(codec=Xor(), seal_errors=True)
    heard: list[Any] = []

    @app.task
    def hear(about: Any, own: str) -> None:
        heard.append((about, own))

    good = app.tasks["value"].options(on_success=hear.s(result, own="marlin"), on_error=hear.s(error, own="none"))
    good.enqueue("swordfish")
    app.tasks["fails"].options(on_error=hear.options(on_success=good.s("tuna")).s(error, own="trout")).enqueue("bream")
    good.enqueue_many([(f"swordfish {n}",) for n in range(30)])
    group(good.s(f"swordfish {n}") for n in range(30)).enqueue()
    drain(app)
    assert heard.count(("swordfish", "marlin")) == heard.count(("tuna", "marlin")) == 1
    assert sorted(about for about, _ in heard if str(about).startswith("swordfish ")) == sorted(
        f"swordfish {n % 30}" for n in range(60)
    )
    [failure] = [about for about, own in heard if own == "trout"]
    assert (failure["state"], failure["error"]["message"]) == ("failed", "bream")
    known = everything(connection)
    assert [name for name in ("sword", "marlin", "tuna", "trout", "bream") if name in known] == []


def test_jobs_alike_share_a_statement_though_they_are_sealed(make: Callable[..., App]) -> None:
    app = make(codec=Xor())
    value = app.tasks["value"]
    followed = value.options(on_success=value.s(result))
    assert statements(app, group(followed.s(n) for n in range(3_000)).then(value.s(result))) == [
        *[(1_000, "enqueue_each")] * 3,
        (1, "enqueue_many"),
    ]
    assert statements(app, chain(value.s(1), group(value.s(n) for n in range(900)), value.s(result))) == [
        (902, "enqueue_many")
    ]
    bulk, _ = followed._bulk(handles=False)
    convert = followed._convert
    assert len({repr(convert((n,))[3:]) for n in range(5)}) == 1
    assert bulk.jobs == 0


# -- unique keys ------------------------------------------------------------------------------------------------------


def test_keys_of_sealed_arguments(make: Callable[..., App], connection: psycopg.Connection[Any]) -> None:
    app = make(codec=Xor())
    once = app.tasks["once"]
    first, second = once.enqueue("marlin", "old"), once.enqueue("marlin", "new")
    assert (second.id, second.created) == (first.id, False)
    assert sealed_with(app.client.job(first.id).args) == "k1"
    assert first.job().args == {"key": "marlin", "text": "new"}, "replaced"
    assert once.enqueue_many([("marlin", "newer"), ("tuna", "x"), ("tuna", "y")]).created == 1
    flow = group(once.s(key, "flow") for key in ("marlin", "tuna", "trout")).then(app.tasks["value"].s(result))
    handle = flow.enqueue()
    assert (handle.created, handle.ids[0]) == (2, first.id)

    async def later() -> bool:
        created = (await once.aenqueue("trout", "async")).created
        await app.aclose()
        return created

    assert asyncio.run(later()) is False
    known = everything(connection)
    assert [name for name in ("marlin", "tuna", "trout") if name in known] == []
    drain(app)
    assert handle.result(timeout=10) == ["flow", "flow", "async"]
    assert once.enqueue("marlin").created, "the key is free again"


def test_all_arguments_make_the_key(make: Callable[..., App]) -> None:
    app = make(codec=Xor())
    value = app.tasks["value"].options(unique_by=())
    first = value.enqueue({"a": 1, "b": [1, 2]})
    assert value.enqueue({"b": [1, 2], "a": 1}).id == first.id
    assert value.enqueue({"b": [2, 1], "a": 1}).created
    other = app.tasks["day"].options(unique_by=())
    assert other.enqueue("2030-01-01").created


# -- carried variables ------------------------------------------------------------------------------------------------


def test_variables_travel_with_flows_and_follow_ups(make: Callable[..., App], pg: Database) -> None:
    app = make()
    app.carry(tenant)
    heard: list[Any] = []

    @app.task
    def where(x: Any = None) -> str | None:
        return tenant.get(None)

    @app.task
    def hear(about: Any) -> None:
        heard.append((about, tenant.get(None)))

    def enqueue() -> Any:
        tenant.set("ada")
        told = where.options(on_success=hear.s(result))
        return chain(where.s(), group([where.s(result), told.s(result)]), app.tasks["asees"].s(result)).enqueue()

    flow = copy_context().run(enqueue)

    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(pg.dsn, autocommit=True) as own:
            await adrain(app, own)
        await app.aclose()

    asyncio.run(main())
    assert flow.result(timeout=10) == [["ada", "ada"], ["ada", "ada"], "ada"]
    assert heard == [("ada", "ada")]
    assert tenant.get(None) is None


# -- middleware -------------------------------------------------------------------------------------------------------


def test_every_job_of_a_flow_passes_before_enqueue(make: Callable[..., App]) -> None:
    """Even one that replaces what it is given does not take results away."""
    seen: list[tuple[str, dict[str, Any]]] = []

    def change(job: NewJob) -> NewJob:
        seen.append((job.kind, job.args))
        return NewJob(job.kind, job.args, job.queue, {"mark": job.kind}, {**job.options, "priority": 3})

    app = make(middleware=[Before(change)])
    value, total = app.tasks["value"], app.tasks["total"]
    members = group(value.options(on_success=value.s(result)).s(n) for n in range(25))
    flow = chain(value.s(0), members, total.s(result)).enqueue()
    assert [kind for kind, _ in seen].count("total") == 1
    assert seen[0] == ("value", {"x": 0}) and ("value", {}) in seen and ("total", {}) in seen
    jobs = [handle.job() for handle in flow]
    assert {(job.priority, (job.headers or {})["mark"] == job.kind) for job in jobs} == {(3, True)}
    done = drain(app)
    assert flow.result(timeout=10) == f"all: {sum(range(25))}"
    followed = [job for job in done if job.id not in flow.ids]
    assert sorted(job.result for job in followed) == list(range(25))
    assert {job.priority for job in followed} == {3}


def test_a_middleware_may_give_keys_and_parents(make: Callable[..., App]) -> None:
    """The results are those of the steps before all the same, and in their order."""
    others: list[int] = []

    def change(job: NewJob) -> None:
        if job.args.get("x") in ("same", "alike"):
            job.options["unique_key"] = "one for both"
        elif others:
            job.options["depends_on"] = [others[0]]

    app = make(middleware=[Before(change)])
    value = app.tasks["value"]
    others.append(value.enqueue("other").id)
    flow = chain(group([value.s("first"), value.s("same"), value.s("alike")]), value.s(result), value.s(result))
    handle = flow.enqueue()
    assert handle.created == 4
    drain(app)
    assert handle.result(timeout=10) == ["first", "same", "same"]


def test_a_job_that_depends_on_another_goes_through_all_of_it(make: Callable[..., App]) -> None:
    class Around:
        def enqueue(self, job: NewJob, proceed: Enqueue, /) -> Enqueued:
            job.headers = {"only": "mine"}
            return proceed(job)

        def execute(self, job: JobRun, proceed: Run, /) -> Any:
            return [job.args, job.headers, proceed(job)]

    app = make(middleware=[Around()])
    first = app.tasks["value"].enqueue("first")
    second = app.tasks["value"].options(depends_on=[first]).enqueue(result)
    drain(app)
    one = [{"x": "first"}, {"only": "mine"}, "first"]
    assert second.result(timeout=10) == [{"x": [one]}, {"only": "mine"}, [one]]


def test_nothing_goes_past_a_middleware_that_is_only_for_single_jobs(make: Callable[..., App]) -> None:
    class Single:
        def enqueue(self, job: NewJob, proceed: Enqueue, /) -> Enqueued:
            return proceed(job)

    app = make(middleware=[Single()])
    value = app.tasks["value"]
    with pytest.raises(InvalidArgument, match="a flow cannot go through the middleware Single"):
        chain(value.s(1), value.s(result)).enqueue()
    with pytest.raises(InvalidArgument, match="on_success cannot go through the middleware Single"):
        value.options(on_success=value.s(result)).enqueue(1)
    assert app.client.jobs() == []


def test_a_refused_member_takes_the_flow_with_it(make: Callable[..., App]) -> None:
    def refuse(job: NewJob) -> None:
        if job.args.get("x") == 1_500:
            raise PermissionError("not this one")

    app = make(middleware=[Before(refuse)])
    value = app.tasks["value"]
    with pytest.raises(PermissionError, match="not this one"):
        group(value.s(n) for n in range(2_000)).enqueue()
    assert app.client.jobs() == []


def test_what_a_middleware_changes_stays_in_its_job(make: Callable[..., App]) -> None:
    """Options are the job's own, deep down."""

    def change(job: NewJob) -> None:
        for each in job.options["on_success"] or ():
            each["priority"] += 1

    app = make(middleware=[Before(change)])
    value = app.tasks["value"].options(on_success=app.tasks["value"].s(result))
    value.enqueue_many([(n,) for n in range(3)])
    done = drain(app)
    assert sorted(job.priority for job in done) == [0, 0, 0, 1, 1, 1]

"""Chains, groups and what comes after them, enqueued and run on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

import pgqueue
from pgqueue import App, Context, InvalidArgument, JobFailed, UnknownJob, chain, group
from pgqueue._calls import Calls
from pgqueue._flowplan import Plan
from pgqueue._hooks import AppHooks
from pgqueue._json import JsonText
from pgqueue.flow import Step
from pgqueue.models import GroupStatus, Job
from pgqueue.testing import adrain, drain, fake_clock
from tests.support.cluster import Database

result = pgqueue.result
error = pgqueue.error
app = App("not used: each test names its database", name="flow")
seen: list[Any] = []


@dataclass
class Page:
    url: str
    size: int
    read: date


@app.task
def page(url: str, size: int = 1) -> Page:
    return Page(url, size, date(2026, 1, size))


@app.task
def size(page: Page) -> int:
    assert isinstance(page, Page)
    return page.size


@app.task
def total(pages: list[Page], title: str = "all") -> str:
    assert all(isinstance(each, Page) for each in pages)
    return f"{title}: {sum(each.size for each in pages)}"


@app.task
def value(x: Any) -> Any:
    return x


@app.task(unique_by=["x"])
def once(x: int) -> int:
    return x


@app.task(max_attempts=1)
def fails(x: Any = None) -> None:
    raise LookupError("no")


@app.task
async def awaited(ctx: Context, x: Any, *, more: int = 0) -> list[Any]:
    return [x, more, [parent.result for parent in await ctx.aparents()]]


@app.task
def sees(ctx: Context) -> list[Any]:
    return [[parent.kind, parent.state, parent.result, (parent.error or {}).get("type")] for parent in ctx.parents()]


@app.task
def told(about: Any, channel: str = "") -> None:
    seen.append((channel, about))


@pytest.fixture(autouse=True)
def _fresh() -> None:
    seen.clear()


@pytest.fixture
def connection(pg: Database) -> Iterator[psycopg.Connection[Any]]:
    with pg.connect(autocommit=False) as connection:
        yield connection
        connection.rollback()


def run(connection: psycopg.Connection[Any], flow: Step[Any]) -> list[Any]:
    """Results by position in the flow; (state, reason) of those that did not succeed."""
    handle = flow.on(connection).enqueue()
    drain(app, connection)
    client = pgqueue.Client(connection=connection)
    jobs = [client.job(id) for id in handle.ids]
    return [job.result if job.state == "succeeded" else (job.state, job.reason) for job in jobs]


def test_each_step_is_given_what_the_one_before_returned(connection: psycopg.Connection[Any]) -> None:
    flow = chain(page.s("/a", 3), size.s(result), value.s(result))
    assert run(connection, flow) == [{"url": "/a", "size": 3, "read": "2026-01-03"}, 3, 3]


def test_what_comes_after_a_group_is_given_all_results_in_order(connection: psycopg.Connection[Any]) -> None:
    flow = group(page.s(str(n), n) for n in (3, 1, 2)).then(total.s(result, title="sum"))
    assert run(connection, flow)[3] == "sum: 6"
    assert run(connection, group(value.s(n) for n in (3, 1, 2)).then(value.s(result)))[3] == [3, 1, 2]


def test_members_that_share_a_key_give_their_result_each(connection: psycopg.Connection[Any]) -> None:
    flow = group(once.s(7), value.s("between"), once.s(7), once.s(5)).then(value.s(result))
    assert run(connection, flow) == [7, "between", 7, 5, [7, "between", 7, 5]]


def test_chains_within_groups_within_chains(connection: psycopg.Connection[Any]) -> None:
    flow = chain(
        value.s(1),
        group(chain(value.s(result), value.s([10])), value.s(result), group([value.s(3)])),
        value.s(result),
        group(value.s(result), value.s("x")),
    )
    assert run(connection, flow) == [1, 1, [10], 1, 3, [[10], 1, 3], [[10], 1, 3], "x"]


def test_a_group_without_members_has_no_results_and_still_keeps_the_order(connection: psycopg.Connection[Any]) -> None:
    flow = chain(value.s(1), group([]), value.s(result))
    assert run(connection, flow) == [1, []]
    handle = flow.on(connection).enqueue()
    client = pgqueue.Client(connection=connection)
    assert [parent.id for parent in client.parents(handle.ids[1])] == [handle.ids[0]]
    assert run(connection, group([]).then(value.s(result))) == [[]]


@pytest.mark.parametrize(
    ("policy", "last"),
    [(None, ("cancelled", "parent_failed")), ("cancel", ("cancelled", "parent_failed")), ("run", [1, None])],
)
def test_what_becomes_of_a_step_when_one_before_it_fails(
    connection: psycopg.Connection[Any], policy: Any, last: Any
) -> None:
    flow = group(value.s(1), fails.s()).then(value.s(result), on_parent_failure=policy)
    assert run(connection, flow) == [1, ("failed", "error"), last]


def test_what_is_cancelled_cancels_what_comes_after(connection: psycopg.Connection[Any]) -> None:
    steps = [("failed", "error"), *[("cancelled", "parent_failed")] * 3]
    assert run(connection, chain(fails.s(), value.s(result), group(value.s(result), value.s(2)))) == steps


def test_a_handler_sees_its_parents(connection: psycopg.Connection[Any]) -> None:
    flow = group(value.s(1), fails.s()).then(sees.s(), on_parent_failure="run")
    assert run(connection, flow)[2] == [["value", "succeeded", 1, None], ["fails", "failed", None, "LookupError"]]
    assert run(connection, value.s(1).then(awaited.s(result, more=2)))[1] == [1, 2, [1]]
    assert run(connection, sees.s()) == [[]]


def test_a_retried_parent_lets_the_rest_go_on(connection: psycopg.Connection[Any]) -> None:
    broken = True

    @app.task("mended", max_attempts=1)
    def mended() -> str:
        if broken:
            raise LookupError("no")
        return "well"

    try:
        handle = mended.s().then(value.s(result), on_parent_failure="wait").on(connection).enqueue()
        client = pgqueue.Client(connection=connection)
        drain(app, connection)
        assert [client.job(id).state for id in handle.ids] == ["failed", "held"]
        broken = False
        client.retry(handle.ids[0])
        drain(app, connection)
        assert client.job(handle.ids[1]).result == "well"
    finally:
        del app.tasks["mended"]


def test_jobs_that_are_there_already_can_be_depended_on(connection: psycopg.Connection[Any]) -> None:
    one, two = value.on(connection).enqueue(1), value.on(connection).enqueue(2)
    after = value.on(connection).options(depends_on=[two, one.id]).enqueue(result)
    single = value.on(connection).options(depends_on=one).enqueue(result)
    many = value.on(connection).options(depends_on=[one]).enqueue_many([("x",), ("y",)])
    flow = chain(value.s(5), value.options(depends_on=two).s(result)).on(connection).enqueue()
    drain(app, connection)
    client = pgqueue.Client(connection=connection)
    assert client.job(after.id).result == [2, 1]
    assert client.job(single.id).result == 1
    assert [client.job(id).result for id in many.ids] == ["x", "y"]
    assert client.job(flow.ids[1]).result == 5
    assert [parent.id for parent in client.parents(flow.ids[1])] == [two.id, flow.ids[0]]
    assert {child.id for child in client.children(one.id)} == {after.id, single.id, *many.ids}
    with pytest.raises(UnknownJob):
        value.on(connection).options(depends_on=999_999).enqueue(1)


def test_calls_that_follow_receive_result_and_error(connection: psycopg.Connection[Any]) -> None:
    good = value.options(on_success=told.s(result, channel="good"), on_error=told.s(error, channel="bad"))
    good.on(connection).enqueue("well")
    failing = fails.options(on_success=told.s("never"), on_error=[told.s(error, channel="bad"), told.s("plain")])
    job = failing.on(connection).enqueue()
    drain(app, connection)
    assert seen[0] == ("good", "well")
    (channel, about), plain = seen[1:]
    assert (channel, plain) == ("bad", ("", "plain"))
    assert (about["state"], about["reason"], about["error"]["type"]) == ("failed", "error", "LookupError")
    assert job.created


def test_a_follow_up_of_a_member_and_of_the_last_step(connection: psycopg.Connection[Any]) -> None:
    member = value.options(on_success=told.s(result, channel="member"))
    run(connection, group(member.s(n) for n in range(2)).then(value.s(result).options(on_success=told.s(result))))
    assert seen == [("member", 0), ("member", 1), ("", [0, 1])]


def test_a_large_group_goes_in_slices(connection: psycopg.Connection[Any]) -> None:
    flow = value.s("first").then(group(value.s(n) for n in range(2_300))).then(value.s(result)).on(connection)
    handle = flow.enqueue()
    assert (len(handle), handle.created) == (2_302, 2_302)
    client = pgqueue.Client(connection=connection)
    assert client.group_status(handle.ids[-1]) == GroupStatus(2_300, 2_300, 0, 0, 0)
    assert [parent.id for parent in client.parents(handle.ids[2_000])] == [handle.ids[0]]
    assert len(client.children(handle.ids[0], max=10_000)) == 2_300
    with pytest.raises(InvalidArgument, match="generator"):
        flow.enqueue()


def test_the_results_of_more_than_a_page_of_parents(pg: Database) -> None:
    with pg.connect() as connection:
        handle = group(value.s(n) for n in range(1_050)).then(value.s(result)).on(connection).enqueue()
        client = pgqueue.Client(connection=connection)
        jobs = client.claim(client.register_worker("w", ["default"]), ["default"], 2_000)
        ends = [JsonText(str(job.args["x"])) for job in jobs]
        client.settle([job.lease for job in jobs], [job.id for job in jobs], ["succeeded"] * 1_050, ends)
        client.maintain(["dependents"])
        drain(app, connection)
        assert client.job(handle.ids[-1]).result == list(range(1_050))


def test_all_of_it_or_nothing(pg: Database) -> None:
    with pg.connect() as connection:
        client = pgqueue.Client(connection=connection)
        with pytest.raises(ZeroDivisionError):
            group(value.s(1 / (1_500 - n)) for n in range(2_000)).on(connection).enqueue()
        with pytest.raises(InvalidArgument, match="element 2"):
            chain(value.s(1), value.options(priority=10**6).s(2)).on(connection).enqueue()
        assert client.jobs() == []
    with pg.connect(autocommit=False) as connection:
        group(value.s(n) for n in range(1_500)).on(connection).enqueue()
        connection.rollback()
        assert pgqueue.Client(connection=connection).jobs() == []


def test_what_makes_no_flow_is_refused(pg: Database) -> None:
    other = App("another")

    @other.task("elsewhere")
    def elsewhere() -> None: ...

    with pg.connect() as connection:
        for flow, said in [
            (value.s(result), "none"),
            (group([]), "without a call"),
            (chain(value.s(1), elsewhere.s()), "another App"),
            (chain(group(value.s(n) for n in range(400)), group(value.s(n) for n in range(400))), "between the two"),
        ]:
            with pytest.raises(InvalidArgument, match=said):
                flow.on(connection).enqueue()
        assert pgqueue.Client(connection=connection).jobs() == []
    for bad in (lambda: chain(), lambda: chain(value), lambda: group(3), lambda: group([1]).on(connection).enqueue()):
        with pytest.raises(InvalidArgument):
            bad()  # type: ignore[no-untyped-call]


def test_a_result_that_is_forgotten_fails_the_job_that_wants_it(pg: Database) -> None:
    connection = pg.connect()
    client = pgqueue.Client(connection=connection)
    client.configure_queue("default", {"history": "failed"})
    handle = chain(value.s(1), value.options(max_attempts=1).s(result)).on(connection).enqueue()
    drain(app, connection)
    job = client.job(handle.ids[1])
    assert job.state == "failed"
    assert job.error is not None
    assert "is not known" in job.error["message"]


def test_a_later_step_waits_for_its_time_too(connection: psycopg.Connection[Any]) -> None:
    start = datetime(2030, 1, 1, tzinfo=UTC)
    with fake_clock(connection, start) as clock:
        handle = chain(value.s(1), value.options(delay=60).s(result)).on(connection).enqueue()
        drain(app, connection, due=True)
        client = pgqueue.Client(connection=connection)
        assert client.job(handle.ids[1]).state == "scheduled"
        clock.advance(timedelta(minutes=2))
        assert [job.result for job in drain(app, connection, due=True)] == [1]


def test_a_parent_that_another_transaction_enqueued(pg: Database) -> None:
    with pg.connect() as mine, pg.connect() as other:
        first = value.on(mine).enqueue("first")
        second = value.on(other).options(depends_on=first).enqueue(result)
        done: list[Job] = drain(app, mine)
        assert [(job.id, job.result) for job in done] == [(first.id, "first"), (second.id, "first")]


@pytest.fixture
def own(pg: Database) -> Iterator[App]:
    own = App(pg.dsn, name="own")
    own.task(value.fn)
    own.task("fails", max_attempts=1)(fails.fn)
    yield own
    own.close()


def test_the_handle_of_a_chain(own: App) -> None:
    one = own.tasks["value"]
    handle = chain(one.s(1), group(one.s(n) for n in range(3)), one.s(result)).enqueue()
    assert (handle.status(), handle.group_status()) == ("held", GroupStatus(3, 3, 0, 0, 0))
    drain(own)
    assert handle.result(timeout=10) == [0, 1, 2]
    assert (handle.status(), handle.group_status()) == ("succeeded", GroupStatus(3, 0, 3, 0, 0))
    assert [each.id for each in handle.last] == [handle.ids[-1]]
    assert (handle[1].result(0), handle[0].created) == (0, True)


def test_the_handle_of_a_group(own: App) -> None:
    one, failing = own.tasks["value"], own.tasks["fails"]
    handle = group(one.s(1), failing.s(), one.s(2)).enqueue()
    assert (handle.status(), handle.group_status()) == ("running", GroupStatus(3, 3, 0, 0, 0))
    drain(own)
    assert (handle.status(), handle.group_status()) == ("failed", GroupStatus(3, 0, 2, 1, 0))
    with pytest.raises(JobFailed):
        handle.result(timeout=10)
    assert group(one.s(n) for n in (5, 6)).enqueue().cancel("no need") == 2


def test_a_flow_is_cancelled_at_once(own: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is released in between, though the last would run if one before it failed."""
    one = own.tasks["value"]
    flow = chain(one.s(1), one.s(result)).then(one.s(result), on_parent_failure="run").enqueue()
    statements: list[str] = []
    run = pgqueue.Client.run
    with monkeypatch.context() as patch:
        patch.setattr(pgqueue.Client, "run", lambda self, call: statements.append(call.sql) or run(self, call))
        assert flow.cancel("why not") > 0
    assert ["cancel_jobs" in sql for sql in statements] == [True]
    assert drain(own) == []
    assert [handle.status() for handle in flow] == ["cancelled"] * 3
    assert flow.cancel() == 0


def test_async_alike(own: App) -> None:
    one = own.tasks["value"]

    async def main() -> None:
        handle = await chain(one.s(1), group([one.s(result), one.s(3)]), one.s(result)).aenqueue()
        assert (await handle.astatus(), await handle.agroup_status()) == ("held", GroupStatus(2, 2, 0, 0, 0))
        await adrain(own)
        assert await handle.aresult(timeout=10) == [1, 3]
        assert await handle.acancel() == 0
        async with await psycopg.AsyncConnection.connect(own.dsn or "") as connection:
            await group(one.s(n) for n in range(1_200)).on(connection).aenqueue()
            await connection.rollback()
        assert await own.aclient.jobs(state="queued") == []
        await own.aclose()

    asyncio.run(main())


def test_a_plan_takes_as_few_statements_as_there_can_be() -> None:
    def statements(flow: Step[Any]) -> list[tuple[int, str]]:
        plan = Plan(Calls(), flow._plan()[1]._walk, AppHooks())
        found = []
        for part in plan.slices():
            found.append((len(part), plan.call(part).sql.split("(")[0].rpartition(".")[2]))
            plan.take([(number, True) for number in range(len(part))])
        return found

    assert statements(chain(value.s(1), group(value.s(n) for n in range(900)), value.s(result))) == [
        (902, "enqueue_many")
    ]
    assert statements(group(value.s(n) for n in range(3_000)).then(value.s(result))) == [
        *[(1_000, "enqueue_each")] * 3,
        (1, "enqueue_many"),
    ]

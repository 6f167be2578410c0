"""Middleware, carried variables and codecs in workers."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pgqueue import (
    App,
    Cancel,
    Context,
    Discard,
    InvalidArgument,
    JobFailed,
    JobRun,
    Retry,
    Snooze,
    chain,
    group,
    result,
)
from pgqueue.codec import sealed_with
from pgqueue.keyed import KeyedItem
from pgqueue.middleware import AsyncRun, Run
from pgqueue.rows import Row
from pgqueue.worker import Worker, current_context
from tests.support.cluster import Database
from tests.worker.harness import DEADLINE, Inside, Jobs, Process
from tests.worker.hooksapp import Reverse, tenant
from tests.worker.hooksapp import app as marking


class Both:
    """One function around both kinds of handler."""

    def __init__(self, before: Callable[[JobRun], Any] = id, after: Callable[[Any], Any] = lambda value: value) -> None:
        self.before = before
        self.after = after
        self.ended: list[str] = []

    def execute(self, job: JobRun, proceed: Run, /) -> Any:
        self.before(job)
        try:
            return self.after(proceed(job))
        finally:
            self.ended.append(job.kind)

    async def aexecute(self, job: JobRun, proceed: AsyncRun, /) -> Any:
        self.before(job)
        try:
            return self.after(await proceed(job))
        finally:
            self.ended.append(job.kind)


@pytest.fixture
def app(pg: Database) -> Iterator[App]:
    app = App(pg.dsn)
    yield app
    app.close()


def both_kinds(app: App, fn: Callable[..., Any], **options: Any) -> tuple[str, str]:
    """The function as a sync task, in threads, and as an async one."""

    async def asame(ctx: Context, n: int = 0) -> Any:
        await asyncio.sleep(0)
        return fn(ctx, n)

    def same(ctx: Context, n: int = 0) -> Any:
        return fn(ctx, n)

    app.task("same", **options)(same)
    app.task("asame", **options)(asame)
    return "same", "asame"


# -- middleware -------------------------------------------------------------------------------------------------------


def test_it_goes_around_handlers_in_threads_and_on_the_loop(app: App, pg: Database, jobs: Jobs) -> None:
    seen: dict[str, str] = {}
    app.use(Both(lambda job: seen.update({job.kind: threading.current_thread().name}), lambda value: [value]))
    app.use(Both(after=lambda value: {"inner": value}))
    kinds = both_kinds(app, lambda ctx, n: n)
    ids = [jobs.add(kind, {"n": n}) for n in range(20) for kind in kinds]
    with Inside(app, pg.dsn, concurrency=4):
        results = [jobs.until(id, "succeeded")["result"] for id in ids]
    assert results == [[{"inner": n}] for n in range(20) for _ in kinds]
    assert "pgqueue-thread" in seen["same"]
    assert "pgqueue-thread" not in seen["asame"]


@pytest.mark.parametrize(
    ("outcome", "state", "reason"),
    [
        (Retry(3600), "scheduled", None),
        (Snooze(3600), "scheduled", None),
        (Cancel("no"), "cancelled", "cancelled_by_worker"),
        (Discard("no"), "failed", "error"),
    ],
)
def test_outcomes_pass_in_both_directions(
    app: App, pg: Database, jobs: Jobs, outcome: Any, state: str, reason: str | None
) -> None:
    """n 0: the handler's, which the middleware sees; n 1: the middleware's own."""
    seen: list[Any] = []

    def after(value: Any) -> Any:
        seen.append(value)
        return outcome if value == "plain" else value

    app.use(Both(after=after))
    kinds = both_kinds(app, lambda ctx, n: "plain" if n else outcome)
    ids = [jobs.add(kind, {"n": n}) for kind in kinds for n in (0, 1)]
    with Inside(app, pg.dsn):
        for id in ids:
            jobs.until(id, state)
            assert jobs.state(id) == (state, reason)
    assert seen.count("plain") == seen.count(outcome) == 2


def test_its_exception_is_the_jobs_failure_and_the_log_names_it(
    app: App, pg: Database, jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty(Both): ...

    def fault(job: JobRun) -> None:
        raise RuntimeError("out of order")

    app.use(Both())
    app.use(Faulty(fault))
    ids = [jobs.add(kind, max_attempts=1) for kind in both_kinds(app, lambda ctx, n: n)]
    with caplog.at_level(logging.WARNING, "pgqueue.worker"), Inside(app, pg.dsn):
        for id in ids:
            error = jobs.until(id, "failed")["error"]
            assert (error["type"], error["message"]) == ("RuntimeError", "out of order")
            assert error["traceback"].endswith("raised by the middleware Faulty, not by the handler\n")
    assert caplog.text.count("raised by the middleware Faulty, not by the handler") == 2


def test_exceptions_of_handlers_come_through_unchanged(app: App, pg: Database, jobs: Jobs) -> None:
    around = Both()
    app.use(around)

    def fail(ctx: Context, n: int) -> None:
        raise KeyError(n)

    ids = [jobs.add(kind, {"n": 7}, max_attempts=1) for kind in both_kinds(app, fail)]
    with Inside(app, pg.dsn):
        errors = [jobs.until(id, "failed")["error"] for id in ids]
    assert [(error["type"], error["message"]) for error in errors] == [("KeyError", "7")] * 2
    assert not any("middleware" in error["traceback"].splitlines()[-1] for error in errors)
    assert around.ended == ["same", "asame"] or around.ended == ["asame", "same"]


def test_a_cancelled_job_is_cancelled_inside_it(app: App, pg: Database, jobs: Jobs) -> None:
    around = Both()
    app.use(around)

    @app.task
    async def forever() -> None:
        await asyncio.Event().wait()

    id = jobs.add("forever")
    with Inside(app, pg.dsn) as worker:
        worker.wait("job_started", job_id=id)
        jobs.one("select state from pgqueue.cancel(%s)", id)
        jobs.until(id, "cancelled")
    assert around.ended == ["forever"]


def test_current_context_is_the_jobs(app: App, pg: Database, jobs: Jobs) -> None:
    seen: list[tuple[int, int, bool]] = []
    app.use(Both(lambda job: seen.append((job.id, current_context().job_id, current_context() is job.context))))
    ids = [jobs.add(kind) for kind in both_kinds(app, lambda ctx, n: ctx.job_id)]
    with Inside(app, pg.dsn):
        assert [jobs.until(id, "succeeded")["result"] for id in ids] == ids
    assert sorted(seen) == [(id, id, True) for id in ids]


def test_a_worker_does_not_start_past_a_middleware_that_would_be_left_out(app: App, pg: Database) -> None:
    class SyncOnly:
        def execute(self, job: JobRun, proceed: Run, /) -> Any:
            return proceed(job)

    class AsyncOnly:
        async def aexecute(self, job: JobRun, proceed: AsyncRun, /) -> Any:
            return await proceed(job)

    app.use(SyncOnly())
    both_kinds(app, lambda ctx, n: n)
    with pytest.raises(InvalidArgument, match="SyncOnly has execute and no aexecute"):
        asyncio.run(Worker(app, dsn=pg.dsn).run(signals=False))
    for register in (lambda other: other.processor("a", "b"), lambda other: other.keyed("a")):
        other = App(pg.dsn, middleware=[AsyncOnly()])
        register(other)(lambda given: None)  # type: ignore[no-untyped-call]
        with pytest.raises(InvalidArgument, match="AsyncOnly has aexecute and no execute"):
            asyncio.run(Worker(other, dsn=pg.dsn).run(signals=False))


@pytest.mark.parametrize("is_async", [False, True])
def test_rows_and_items(app: App, pg: Database, is_async: bool) -> None:
    seen: list[Any] = []
    app.use(Both(lambda job: seen.append((job.kind, job.context.job_id == job.id, sorted(job.args)))))

    def price(row: Row) -> Any:
        return row.input * 2

    async def aprice(row: Row) -> Any:
        return price(row)

    def report(item: KeyedItem) -> Any:
        return {"of": item.payload}

    async def areport(item: KeyedItem) -> Any:
        return report(item)

    app.processor("shop", "price")(aprice if is_async else price)
    app.keyed("reports")(areport if is_async else report)
    with Inside(app, pg.dsn):
        batch = app.batches.submit("shop", "price", None, [(1, 10), (2, 20)])
        assert app.batches.wait(batch, DEADLINE).succeeded == 2
        assert app.keyed_queue("reports").get_or_run("k", {"sql": 1}, timeout=DEADLINE) == {"of": {"sql": 1}}
    assert [row.result for row in app.batches.rows(batch)] == [20, 40]
    assert seen == [
        ("rows.slice", True, ["app", "batch", "op", "rows"]),
        ("keyed.item", True, ["key", "payload"]),
    ]


def test_a_middleware_that_fails_on_rows_has_them_tried_again(app: App, pg: Database, jobs: Jobs) -> None:
    failures = [RuntimeError("once")]

    def before(job: JobRun) -> None:
        if failures:
            raise failures.pop()

    app.use(Both(before))
    app.processor("shop", "price")(lambda row: row.input)
    with Inside(app, pg.dsn) as worker:
        batch = app.batches.submit("shop", "price", None, [(1, 10)])
        failed = worker.wait("job_ended", outcome="failed").facts["job_id"]
        app.client.reschedule(failed, jobs.until(failed, "scheduled")["created_at"])
        assert app.batches.wait(batch, DEADLINE).succeeded == 1


# -- carried variables ------------------------------------------------------------------------------------------------


def within(value: str, function: Callable[[], Any]) -> Any:
    def run() -> Any:
        tenant.set(value)
        return function()

    return contextvars.copy_context().run(run)


def test_variables_are_set_for_the_handler_and_for_what_it_enqueues(app: App, pg: Database, jobs: Jobs) -> None:
    app.carry(tenant)
    seen: list[tuple[str, int, str]] = []

    def look(ctx: Context, n: int) -> None:
        seen.append((ctx.kind, n, tenant.get()))
        if n:
            app.enqueue(ctx.kind, {"n": n - 1})

    kinds = both_kinds(app, look)
    for kind in kinds:
        within("ada", lambda kind=kind: app.enqueue(kind, {"n": 2}))
        jobs.add(kind, {"n": 0})
    with Inside(app, pg.dsn) as worker:
        worker.wait("job_ended", count=8, outcome="succeeded")
    wanted = [(kind, n, "ada") for kind in kinds for n in (0, 1, 2)] + [(kind, 0, "nobody") for kind in kinds]
    assert sorted(seen) == sorted(wanted)


def test_variables_cost_no_runner(app: App, pg: Database, jobs: Jobs) -> None:
    """A runner whose context a handler leaves changed is replaced; what is carried is taken back."""
    app.carry(tenant)
    tasks: list[Any] = []

    @app.task
    async def look() -> str:
        tasks.append(asyncio.current_task())
        return tenant.get()

    ids = [within(name, look.enqueue).id for name in ("ada", "bob", "eve")]
    with Inside(app, pg.dsn, concurrency=1):
        assert [jobs.until(id, "succeeded")["result"] for id in ids] == ["ada", "bob", "eve"]
    assert len(set(tasks)) == 1


# -- codecs -----------------------------------------------------------------------------------------------------------


def test_a_worker_process_opens_and_seals(pg: Database, jobs: Jobs, tmp_path: Path) -> None:
    marking.dsn = pg.dsn
    try:
        with Process(pg.dsn, app="tests.worker.hooksapp:app") as worker:
            handles = [
                within("ada", lambda kind=kind: marking.tasks[kind].enqueue(21)) for kind in ("double", "adouble")
            ]
            for handle in handles:
                assert handle.result(DEADLINE)["value"] == 42
                assert handle.result(DEADLINE)["tenant"] == "ada"
                raw = jobs.get(handle.id)
                assert sealed_with(raw["args"]) == sealed_with(raw["result"]) == "reverse"
            failing = marking.tasks["fail"].enqueue("swordfish")
            with pytest.raises(JobFailed, match="ValueError: no swordfish"):
                failing.result(DEADLINE)
            assert "swordfish" not in str(jobs.get(failing.id))
            worker.signal(15)
            worker.exit_code()
    finally:
        marking.close()
        marking.dsn = None


def test_a_worker_process_runs_a_sealed_flow(pg: Database, jobs: Jobs) -> None:
    """Results travel from parents to children sealed, and so does the context, in threads and on the loop."""
    marking.dsn = pg.dsn
    try:
        with Process(pg.dsn, app="tests.worker.hooksapp:app") as worker:
            keep, akeep = marking.tasks["keep"], marking.tasks["akeep"]
            members = group([keep.s("swordfish"), akeep.s("marlin")])
            flow = within("ada", chain(members, keep.s(result), akeep.s(result)).enqueue)
            last = flow.result(DEADLINE)
            assert (last["tenant"], last["value"]["tenant"]) == ("ada", "ada")
            assert [each["value"] for each in last["value"]["value"]] == ["swordfish", "marlin"]
            for id in flow.ids:
                raw = jobs.get(id)
                assert sealed_with(raw["args"]) == sealed_with(raw["result"]) == "reverse"
                assert "sword" not in str(raw) and "marlin" not in str(raw)
            worker.signal(15)
            worker.exit_code()
    finally:
        marking.close()
        marking.dsn = None


def test_who_cannot_open_a_parents_result_fails_at_once(app: App, pg: Database, jobs: Jobs) -> None:
    sender = App(pg.dsn, codec=Reverse())
    ran: list[Any] = []

    @sender.task
    def give() -> str:
        return "swordfish"

    app.task(give.fn)
    kinds = both_kinds(app, lambda ctx, n: ran.append(n))
    with Inside(sender, pg.dsn):
        parent = give.enqueue()
        assert parent.result(DEADLINE) == "swordfish"
    with Inside(app, pg.dsn):
        for kind in kinds:
            child = app.tasks[kind].options(depends_on=parent, max_attempts=5).enqueue(result)
            job = jobs.until(child.id, "failed")
            assert (job["attempt"], job["error"]["type"]) == (1, "pgqueue.errors.CannotUnseal")
    assert ran == []
    sender.close()


@pytest.mark.parametrize("codec", [None, "other"])
def test_who_cannot_open_a_job_fails_it_at_once(
    app: App, pg: Database, jobs: Jobs, codec: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    class Other(Reverse):
        key_id = "other"

    sender = App(pg.dsn, codec=Reverse())
    runner = App(pg.dsn, codec=Other() if codec else None)
    ran: list[int] = []
    kinds = both_kinds(runner, lambda ctx, n: ran.append(n))

    @runner.task
    def anything(**values: Any) -> None:
        ran.append(1)

    @runner.task
    def plain(n: int) -> None:
        ran.append(n)

    ids = [sender.enqueue(kind, {"n": 1}, max_attempts=5).id for kind in (*kinds, "anything", "plain")]
    with caplog.at_level(logging.ERROR, "pgqueue.worker"), Inside(runner, pg.dsn):
        for id in ids:
            job = jobs.until(id, "failed")
            assert (job["attempt"], job["error"]["type"]) == (1, "pgqueue.errors.CannotUnseal")
            assert "sealed with the codec 'reverse', which this App does not have" in job["error"]["message"]
    assert ran == []
    assert caplog.text.count("which this App does not have") >= 4
    sender.close()


def test_errors_of_stuck_and_late_handlers_are_sealed_too(app: App, pg: Database, jobs: Jobs) -> None:
    sealing = App(pg.dsn, codec=Reverse(), seal_errors=True)
    release = threading.Event()

    @sealing.task(timeout=0.05, max_attempts=1)
    def stuck(secret: str) -> None:
        release.wait(DEADLINE)

    @sealing.task(timeout=0.05, max_attempts=1)
    async def late(secret: str) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            raise ValueError(secret)

    handles = [stuck.enqueue("swordfish"), late.enqueue("swordfish")]
    jobs.add("unknown", max_attempts=1)
    with Inside(sealing, pg.dsn) as worker:
        for handle in handles:
            error = jobs.until(handle.id, "failed")["error"]
            assert (error["type"], error["message"]) == ("TimeoutError", "sealed with the codec 'reverse'")
            assert "ran longer than its timeout" in handle.job().error["message"]  # type: ignore[index]
        worker.wait("job_ended", kind="unknown")
        release.set()
        worker.wait("unstuck")
    [unknown] = [job for job in app.client.jobs() if job.kind == "unknown"]
    assert "no task of kind 'unknown'" in app.client.job(unknown.id).error["message"]  # type: ignore[index]
    sealing.close()

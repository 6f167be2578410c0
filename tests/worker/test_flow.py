"""Flows run by a real worker: results of parents in sync and async handlers, failures, what follows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import pgqueue
from pgqueue import App, Context, JobFailed, chain, group
from pgqueue.middleware import AsyncRun, JobRun, Run
from pgqueue.models import GroupStatus
from tests.support.cluster import Database
from tests.worker.harness import DEADLINE, Inside, Jobs, until
from tests.worker.hooksapp import Reverse

result = pgqueue.result


@dataclass
class Part:
    number: int


class Flows:
    """The tasks of these tests, and a worker that runs them."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.told: list[Any] = []
        self.gate = threading.Event()
        self.broken = True

        @app.task
        def part(number: int) -> Part:
            return Part(number)

        @app.task
        async def double(part: Part) -> Part:
            return Part(part.number * 2)

        @app.task
        def total(context: Context, parts: list[Part | None], plus: int = 0) -> int:
            assert context.headers == {"trace": "t"}
            assert [parent.state == "succeeded" for parent in context.parents()] == [each is not None for each in parts]
            return sum(each.number for each in parts if each is not None) + plus

        @app.task
        async def atotal(context: Context, parts: list[Part | None]) -> list[str]:
            assert sum(each.number for each in parts if each is not None) > 0
            return [parent.state for parent in await context.aparents()]

        @app.task(max_attempts=1)
        def fails(part: Part | None = None) -> None:
            if self.broken:
                raise LookupError("no")

        @app.task
        def waits() -> str:
            assert self.gate.wait(DEADLINE)
            return "at last"

        @app.task
        def echo(text: str) -> str:
            return text

        @app.task
        def tell(about: Any, channel: str = "") -> None:
            self.told.append((channel, about))

        @app.task
        async def blocks(context: Context) -> None:
            context.parents()

        self.part, self.double, self.total, self.atotal = part, double, total, atotal
        self.fails, self.waits, self.echo, self.tell, self.blocks = fails, waits, echo, tell, blocks


class Through:
    """Around every handler, changing nothing."""

    def execute(self, job: JobRun, proceed: Run, /) -> Any:
        return proceed(job)

    async def aexecute(self, job: JobRun, proceed: AsyncRun, /) -> Any:
        return await proceed(job)


@pytest.fixture(params=["plain", "hooked"])
def flows(pg: Database, request: pytest.FixtureRequest) -> Iterator[Flows]:
    """With hooks a worker takes another way through each job, to the same end."""
    hooks: dict[str, Any] = {"middleware": [Through()], "codec": Reverse(), "seal_errors": True}
    app = App(pg.dsn, name="flows", **(hooks if request.param == "hooked" else {}))
    flows = Flows(app)
    with Inside(app, pg.dsn):
        yield flows
        flows.gate.set()
    app.close()


def test_a_chain(flows: Flows) -> None:
    flow = chain(flows.part.s(3), flows.double.s(result), flows.double.s(result)).enqueue()
    assert flow.result(DEADLINE) == Part(12)
    assert flow.status() == "succeeded"


def test_a_group_and_what_comes_after(flows: Flows) -> None:
    members = group(chain(flows.part.s(n), flows.double.s(result)) for n in range(30))
    flow = members.then(flows.total.options(headers={"trace": "t"}).s(result, plus=1)).enqueue()
    assert flow.result(DEADLINE) == 2 * sum(range(30)) + 1
    assert flow.group_status() == GroupStatus(30, 0, 30, 0, 0)


def test_failures(flows: Flows) -> None:
    members = group(flows.part.s(1), flows.fails.s(), flows.part.s(2))
    cancelled = members.then(flows.echo.s("never")).enqueue()
    runs = members.then(flows.total.options(headers={"trace": "t"}).s(result), on_parent_failure="run").enqueue()
    also = members.then(flows.atotal.s(result), on_parent_failure="run").enqueue()
    with pytest.raises(JobFailed, match=r"cancelled \(parent_failed\)"):
        cancelled.result(DEADLINE)
    assert runs.result(DEADLINE) == 3
    assert also.result(DEADLINE) == ["succeeded", "failed", "succeeded"]
    assert runs.group_status() == GroupStatus(3, 0, 2, 1, 0)


def test_a_retry_lets_what_waits_go_on(flows: Flows) -> None:
    flow = flows.fails.s().then(flows.echo.s("after"), on_parent_failure="wait").enqueue()
    with pytest.raises(JobFailed):
        flow[0].result(DEADLINE)
    assert flow.status() == "held"
    flows.broken = False
    flows.app.client.retry(flow.ids[0])
    assert flow.result(DEADLINE) == "after"


def test_what_is_enqueued_while_its_parent_runs(flows: Flows, jobs: Jobs) -> None:
    parent = flows.waits.enqueue()
    jobs.until(parent.id, "running")
    child = flows.echo.options(depends_on=parent).enqueue(result)
    assert child.status() == "held"
    flows.gate.set()
    assert child.result(DEADLINE) == "at last"


def test_calls_that_follow(flows: Flows) -> None:
    flows.echo.options(on_success=flows.tell.s(result, channel="good")).enqueue("well")
    flows.fails.options(on_error=flows.tell.s(pgqueue.error, channel="bad")).enqueue()
    until(lambda: len(flows.told) == 2, "both calls")
    (bad, about), good = sorted(flows.told, key=str)
    assert (good, bad, about["error"]["type"]) == (("good", "well"), "bad", "LookupError")


def test_an_async_handler_is_told_to_await(flows: Flows) -> None:
    handle = flows.blocks.options(max_attempts=1).enqueue()
    with pytest.raises(JobFailed, match="stop the event loop"):
        handle.result(DEADLINE)


def test_a_cancelled_flow_stops(flows: Flows, jobs: Jobs) -> None:
    flow = chain(flows.waits.s(), flows.echo.s(result)).enqueue()
    jobs.until(flow.ids[0], "running")
    assert flow.cancel("enough") == 2
    flows.gate.set()
    jobs.until(flow.ids[1], "cancelled")

"""Schedules with real workers: declared at the start, one job a tick."""

from __future__ import annotations

import itertools
import signal
import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from pgqueue import App, result
from tests.worker.harness import Inside, Jobs, Process, until

if TYPE_CHECKING:
    from tests.support.cluster import Database

CRON_APP = "tests.worker.cronapp:app"


def ticks(jobs: Jobs) -> list[datetime]:
    """The ticks of all jobs that schedules have made, in order."""
    found = jobs.one(
        "select array_agg((j.headers ->> 'tick')::timestamptz order by 1) from pgqueue.job j where j.kind = 'tick'"
    )
    return sorted(found or [])


def succeeded(jobs: Jobs) -> int:
    return jobs.counts().get("succeeded", 0)


@pytest.mark.slow
def test_two_workers_make_one_job_a_tick_and_run_it(pg: Database, jobs: Jobs) -> None:
    with Process(pg.dsn, CRON_APP) as first, Process(pg.dsn, CRON_APP) as second:
        actions = [first.wait("scheduled").facts, second.wait("scheduled").facts]
        assert sorted(next(key for key in facts if key != "refused") for facts in actions) == ["added", "unchanged"]
        assert all(facts["refused"] == ["bad"] for facts in actions)
        until(lambda: succeeded(jobs) >= 3, "three ticks to have run")
        # a second pass of upkeep from elsewhere, as from pg_cron, at any time
        for _ in range(20):
            jobs.connection.execute("select * from pgqueue.maintain()")
        # the leader dies; the ticks until another leads are late, and made up for
        leader = first if first.seen("leading") else second
        leader.signal(signal.SIGKILL)
        leader.exit_code()
        (second if leader is first else first).wait("leading")
        done = succeeded(jobs)
        until(lambda: succeeded(jobs) >= done + 2, "two more ticks to have run")
    made = ticks(jobs)
    steps = {later - earlier for earlier, later in itertools.pairwise(made)}
    assert steps == {timedelta(seconds=1)}


def test_a_due_schedule_wakes_the_leader(pg: Database, jobs: Jobs) -> None:
    """Its duty comes when the schedule is due, not when it is the duty's turn."""
    app = App()

    @app.cron("every 1 second")
    @app.task
    async def tick() -> None:
        return None

    with Inside(app, pg.dsn) as worker:
        worker.wait("leading")
        until(lambda: succeeded(jobs) >= 4, "four ticks to have run")
    late = jobs.one(
        "select min(j.created_at - (j.headers ->> 'tick')::timestamptz) from pgqueue.job j where j.kind = 'tick'"
    )
    assert late < timedelta(seconds=0.5)


def test_a_ticks_key_and_follow_ups(pg: Database, jobs: Jobs) -> None:
    """The first tick's job has the key until it is let go; each that has succeeded has its follow-up."""
    app = App()
    go = threading.Event()

    @app.task
    def told(of: int) -> None: ...

    @app.cron("every 1 second")
    @app.task(unique_by=[], on_success=told.s(result))
    def tick() -> int:
        return 7 if go.wait(30) else 0

    with Inside(app, pg.dsn) as worker:
        worker.wait("leading")
        until(
            lambda: jobs.one(
                "select bool_or(last_run > (j.headers ->> 'tick')::timestamptz + interval '1 second') "
                "from pgqueue.schedules() s join pgqueue.job j on j.id = s.last_job"
            ),
            "two more ticks",
        )
        assert len(ticks(jobs)) == 1
        go.set()
        until(lambda: len(ticks(jobs)) >= 2, "the next tick to have a job")
        until(lambda: jobs.one("select count(*) from pgqueue.job where kind = 'told'") >= 2, "its follow-ups")
    assert jobs.one("""select bool_and(args = '{"of": 7}') from pgqueue.job where kind = 'told'""")


def test_declarations_that_are_gone_are_removed_and_bad_ones_stop_nothing(pg: Database, jobs: Jobs) -> None:
    def serve(*crons: str) -> dict[str, list[str]]:
        app = App(name="shop")

        @app.task
        async def add(a: int, b: int) -> int:
            return a + b

        for cron in crons:
            app.cron(cron, name=f"at {cron}", args={"a": 1, "b": 2})(add)
        app.cron("@daily", name="misfit", args={"a": 1})(add)
        with Inside(app, pg.dsn) as worker:
            facts = worker.wait("scheduled").facts
            assert jobs.until(jobs.add("add", {"a": 1, "b": 1}), "succeeded")["result"] == 2
            return dict(facts)

    assert serve("@daily", "99 * * * *") == {"added": ["at @daily"], "refused": ["at 99 * * * *", "misfit"]}
    assert serve("@weekly") == {"added": ["at @weekly"], "refused": ["misfit"], "removed": ["at @daily"]}
    assert jobs.one("select array_agg(name) from pgqueue.schedules()") == ["at @weekly"]


def test_what_is_due_counts_as_work_when_draining(pg: Database, jobs: Jobs) -> None:
    app = App()

    @app.task
    async def add(a: int, b: int) -> int:
        return a + b

    jobs.connection.execute("set pgqueue.now = '2020-01-01'")
    jobs.connection.execute("""select pgqueue.schedule('s', '@daily', 'add', '{"a": 1, "b": 2}')""")
    jobs.connection.execute("reset pgqueue.now")
    with Inside(app, pg.dsn, drain=True, upkeep=False) as worker:
        worker.join()
    assert jobs.counts() == {"succeeded": 1}

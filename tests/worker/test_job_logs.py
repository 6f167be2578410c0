"""What handlers log: stored in order, before the outcome, and never a reason for a job to fail or to wait."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pgqueue import App, Context
from tests.worker.harness import Inside, Jobs, until

if TYPE_CHECKING:
    from tests.support.cluster import Database


def lines(jobs: Jobs, id: int) -> list[tuple[Any, ...]]:
    return jobs.connection.execute(
        "select level, message, fields, attempt from pgqueue.job_log(%s, max => 10000)", [id]
    ).fetchall()


def told(jobs: Jobs, id: int) -> list[str]:
    return [message for _, message, _, _ in lines(jobs, id)]


def test_lines_are_there_when_the_job_has_ended(pg: Database, jobs: Jobs) -> None:
    app = App()

    @app.task
    def sync(context: Context) -> None:
        context.log("begun", rows=3, message="a field")
        context.log("odd", "warning")

    @app.task
    async def coroutine(context: Context) -> None:
        context.log("begun")
        await asyncio.sleep(0)
        context.log("ended", "debug", at="noon")

    @app.task
    def fails(context: Context) -> None:
        context.log("almost")
        raise ValueError

    first, second, third = jobs.add("sync"), jobs.add("coroutine"), jobs.add("fails", max_attempts=1)
    with Inside(app, pg.dsn):
        for id, state in ((first, "succeeded"), (second, "succeeded"), (third, "failed")):
            jobs.until(id, state)
            assert len(lines(jobs, id)) > 0
    assert lines(jobs, first) == [
        ("info", "begun", {"rows": 3, "message": "a field"}, 1),
        ("warning", "odd", None, 1),
    ]
    assert lines(jobs, second) == [("info", "begun", None, 1), ("debug", "ended", {"at": "noon"}, 1)]
    assert told(jobs, third) == ["almost"]


def test_lines_show_while_the_job_runs(pg: Database, jobs: Jobs) -> None:
    app = App()
    go = threading.Event()

    @app.task
    def slow(context: Context) -> None:
        context.log("one")
        context.log("two")
        go.wait(20)
        for n in range(150):
            context.log(str(n))

    id = jobs.add("slow")
    with Inside(app, pg.dsn):
        until(lambda: told(jobs, id) == ["one", "two"], "the first lines")
        go.set()
        jobs.until(id, "succeeded")
    assert told(jobs, id) == ["one", "two", *map(str, range(150))]


@pytest.mark.parametrize("is_async", [True, False])
def test_many_jobs_log_much_in_order(pg: Database, jobs: Jobs, is_async: bool) -> None:
    app = App()

    def say(context: Context, count: int) -> int:
        for n in range(count):
            context.log(f"{n}")
        return count

    if is_async:

        @app.task("say")
        async def say_async(context: Context, count: int) -> int:
            await asyncio.sleep(0)
            return say(context, count)
    else:
        app.task("say")(say)

    ids = [jobs.add("say", {"count": n % 7 * 40}) for n in range(60)]
    with Inside(app, pg.dsn, concurrency=8):
        for id in ids:
            jobs.until(id, "succeeded")
    for n, id in enumerate(ids):
        assert told(jobs, id) == [str(line) for line in range(n % 7 * 40)]


def test_a_log_that_is_full_ends(pg: Database, jobs: Jobs) -> None:
    app = App()
    jobs.configure(job_log_lines=5)

    @app.task
    def chatty(context: Context) -> None:
        for n in range(3000):
            context.log(f"{n}")

    id = jobs.add("chatty")
    with Inside(app, pg.dsn):
        jobs.until(id, "succeeded")
    assert told(jobs, id) == [*"01234", "more lines were dropped: the log of a job keeps 5"]


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError


def test_what_cannot_be_stored_fails_nothing(pg: Database, jobs: Jobs) -> None:
    app = App()

    @app.task
    def odd(context: Context) -> None:
        context.log("nul \0 and \ud800", "LOUD", file=object, nan=float("nan"), raw=b"x")
        context.log(Unspeakable())
        endless: list[Any] = []
        endless.append(endless)
        context.log("endless", it=endless)
        context.log("fine", "l" * 100)
        context.log(7, logging.WARNING)  # type: ignore[arg-type]

    id = jobs.add("odd")
    with Inside(app, pg.dsn):
        jobs.until(id, "succeeded")
    found = lines(jobs, id)
    assert [level for level, *_ in found] == ["loud", "warning", "warning", "l" * 32, "warning"]
    assert found[0][2] == {"file": "<class 'object'>", "nan": "nan", "raw": "b'x'"}
    assert [message for _, message, _, _ in found[3:]] == ["fine", "7"]


def test_lines_of_a_job_that_was_taken_away_are_dropped(pg: Database, jobs: Jobs) -> None:
    app = App()

    @app.task
    def taken(context: Context) -> None:
        jobs.connection.execute("delete from pgqueue.lease")
        context.log("late")

    @app.task
    def fine(context: Context) -> None:
        context.log("in time")

    lost = jobs.add("taken")
    with Inside(app, pg.dsn) as worker:
        worker.wait("refused", job_id=lost)
        id = jobs.add("fine")
        jobs.until(id, "succeeded")
    assert jobs.one("select count(*) from pgqueue.job_log where job_id = %s", lost) == 0
    assert told(jobs, id) == ["in time"]


def test_a_connection_that_breaks_costs_neither_lines_nor_outcomes(pg: Database, jobs: Jobs) -> None:
    app = App()
    go = threading.Event()

    @app.task
    def slow(context: Context) -> None:
        context.log("before")
        go.wait(20)
        context.log("after")

    id = jobs.add("slow")
    with Inside(app, pg.dsn):
        until(lambda: told(jobs, id) == ["before"], "the first line")
        jobs.connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
            " and pid <> pg_backend_pid() and application_name like '%%logs%%'"
        )
        go.set()
        jobs.until(id, "succeeded")
    assert told(jobs, id) == ["before", "after"]


def test_jobs_without_lines_do_not_wait_for_those_with(pg: Database, jobs: Jobs) -> None:
    app = App()

    @app.task
    def silent() -> None:
        pass

    @app.task
    def speaks(context: Context) -> None:
        context.log("held up")

    with pg.connect() as user, user.transaction():
        speaker = jobs.add("speaks")
        user.execute(
            "select pg_advisory_xact_lock(hashtextextended(%s, pgqueue._lock_class('log')))", [str(speaker)]
        )  # as a call for the same job in a transaction that is open
        with Inside(app, pg.dsn, lock_timeout=0.5):
            ids = jobs.many("silent", 20)
            for id in ids:
                jobs.until(id, "succeeded")
            jobs.until(speaker, "succeeded")  # its lines could not be stored
    assert told(jobs, speaker) == []


def test_an_app_that_keeps_what_its_tasks_log(pg: Database, jobs: Jobs, caplog: pytest.LogCaptureFixture) -> None:
    app = App(job_logs=True)

    @app.task
    def work(context: Context) -> None:
        context.logger.debug("not this")
        context.logger.info("%s of %s", 1, 2, extra={"part": "a"})
        try:
            raise ValueError("oops")
        except ValueError:
            context.logger.exception("failed")

    id = jobs.add("work")
    with caplog.at_level(logging.INFO, "pgqueue.job"), Inside(app, pg.dsn):
        jobs.until(id, "succeeded")
    found = lines(jobs, id)
    assert [line[:2] for line in found[:2]] == [("info", "1 of 2"), ("error", "failed")]
    assert found[0][2] == {"part": "a"}
    assert found[1][2]["exception"].endswith("ValueError: oops\n")
    record = next(record for record in caplog.records if record.name == "pgqueue.job")
    assert (record.funcName, record.job_id) == ("work", id)  # type: ignore[attr-defined]

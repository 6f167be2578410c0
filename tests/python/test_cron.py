"""`@app.cron`: what is declared, wherever the decorator stands; and schedules through the clients."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import pgqueue
from pgqueue import App, AsyncClient, Backoff, Client, Conflict, InvalidArgument, UnknownJob, result
from pgqueue.testing import drain
from tests.support.cluster import Database


def plain(**options: Any) -> dict[str, Any]:
    return {
        "cron": "@daily", "kind": "job", "name": "job", "args": {}, "queue": "default", "priority": 0,
        "time_zone": "UTC", "missed": "one", **options,
    }  # fmt: skip


@pytest.mark.parametrize("above", [True, False])
def test_it_stands_above_or_below_the_task(above: bool) -> None:
    app = App()

    def job() -> None:
        return None

    if above:
        decorated = app.cron("@daily")(app.task(job))
        assert decorated is app.tasks["job"]
    else:
        assert app.cron("@daily")(job) is job
        app.task(job)
    assert app.schedules() == [plain()]


def test_a_task_brings_its_options_and_its_arguments_are_checked() -> None:
    app = App(queue="mail")

    @app.cron(
        "@daily", args={"day": datetime(2030, 1, 1, tzinfo=UTC)}, name="n", time_zone="Europe/Berlin", missed="all"
    )
    @app.task(
        "kind",
        unique_key=lambda day: f"day {day:%F}",
        group_key="g",
        delay=60,
        priority=2,
        max_attempts=3,
        timeout=timedelta(minutes=1),
        expires_in=90,
        heartbeat=5,
        backoff=Backoff(base=1),
        headers={"h": 1},
    )
    def job(day: datetime) -> None:
        return None

    assert app.schedules() == [
        plain(
            kind="kind", name="n", queue="mail", time_zone="Europe/Berlin", missed="all", priority=2, max_attempts=3,
            args={"day": "2030-01-01T00:00:00+00:00"}, unique_key="day 2030-01-01", group_key="g", headers={"h": 1},
            timeout="60000000 microseconds", expires_in="90000000 microseconds", heartbeat="5000000 microseconds",
            backoff={"base": 1},
        )
    ]  # fmt: skip


def test_a_task_brings_its_key_and_its_follow_ups() -> None:
    app = App()

    @app.task(queue="mail")
    def told(text: str, about: Any = None) -> None: ...

    @app.cron("@daily", args={"region": "eu"})
    @app.task(
        unique_by=["region"],
        unique_for=timedelta(hours=1),
        on_duplicate="raise",
        on_success=told.s("good", about=result),
        on_error=[told.s("bad"), told.options(priority=3).s("worse")],
    )
    def job(region: str) -> None: ...

    follow_up = {"kind": "told", "queue": "mail", "priority": 0}
    assert app.schedules() == [
        plain(
            args={"region": "eu"}, unique_by=["region"], unique_for="3600000000 microseconds", on_duplicate="raise",
            on_success=[{**follow_up, "args": {"text": "good"}, "pass_as": "about"}],
            on_error=[{**follow_up, "args": {"text": "bad"}}, {**follow_up, "args": {"text": "worse"}, "priority": 3}],
        )
    ]  # fmt: skip


def test_a_declaration_is_the_same_at_each_start_whatever_the_codec_and_middleware(pg: Database) -> None:
    """Else each start would undo what operators have changed."""

    class Salted:
        def encode(self, data: bytes, /) -> bytes:
            return os.urandom(8) + data

        def decode(self, data: bytes, /) -> bytes:
            return data[8:]

    class Stamp(pgqueue.Middleware):
        def before_enqueue(self, job: pgqueue.NewJob, /) -> pgqueue.NewJob:
            return replace(job, headers={**job.headers, "stamp": os.urandom(4).hex()})

    app = App(pg.dsn, name="salted", codec=Salted(), middleware=[Stamp()])
    heard = []

    @app.task
    def said(region: str) -> None:
        heard.append(region)

    @app.task(on_success=said.s("inner"))
    def tell(error: dict[str, Any] | None, region: str) -> None:
        heard.append(region)

    @app.cron("@hourly")
    @app.task(on_success=tell.s(pgqueue.result, region="eu"))
    def load() -> None: ...

    for action in ("added", "unchanged"):
        assert [a.action for a in app.client.sync_schedules("salted", app.schedules())] == [action]
    app.client.run_schedule("load")
    drain(app)
    assert heard == ["eu", "inner"]
    app.close()


def test_what_it_declares_is_what_runs(pg: Database) -> None:
    """From the decorator to the job's end."""
    with Client(pg.dsn) as client:
        app = App(pg.dsn, name="shop")
        heard: list[int] = []

        @app.task
        def told(about: int) -> None:
            heard.append(about)

        @app.cron("@daily")
        @app.task(unique_by=[], on_duplicate="raise", on_success=told.s(result))
        def job() -> int:
            return 7

        assert [answer.action for answer in client.sync_schedules("shop", app.schedules())] == ["added"]
        assert [answer.action for answer in client.sync_schedules("shop", app.schedules())] == ["unchanged"]
        (shown,) = client.schedules()
        assert (shown.unique_by, shown.on_duplicate) == ([], "raise")
        client.run_schedule("job")
        with pytest.raises(Conflict):
            client.run_schedule("job")
        drain(app)
        assert heard == [7]
        app.close()


def test_the_client_takes_all_options_of_enqueue(pg: Database) -> None:
    with Client(pg.dsn) as client:
        options: dict[str, Any] = {
            "unique_by": ["a"],
            "unique_for": 60,
            "on_duplicate": "debounce",
            "on_success": {"kind": "x", "delay": timedelta(seconds=5)},
            "on_error": [{"kind": "y"}],
        }
        assert client.schedule("s", "@daily", "k", {"a": 1}, **options).changed is True
        assert client.schedule("s", "@daily", "k", {"a": 1}, **options).changed is False
        (shown,) = client.schedules()
        assert (shown.unique_by, shown.unique_for, shown.on_duplicate) == (["a"], timedelta(minutes=1), "debounce")
        assert (shown.on_success, shown.on_error) == ({"kind": "x", "delay": "5000000 microseconds"}, [{"kind": "y"}])
        with pytest.raises(InvalidArgument, match="unique key"):
            client.schedule("s", "@daily", "k", on_duplicate="raise")


def test_bad_declarations_are_told_by_name_and_stop_nothing() -> None:
    app = App()

    @app.cron("@daily", args={"a": 1}, name="misfit")
    @app.cron("@daily", starts_at=datetime(2030, 1, 1), name="naive")
    @app.cron("@daily")
    @app.task(unique_key=lambda: {}["no"])  # type: ignore[misc]
    def job() -> None:
        return None

    @app.cron("@daily")
    def no_task() -> None:
        return None

    @app.cron("@hourly")
    @app.task
    def good() -> None:
        return None

    made = {each["name"]: each.get("refused") for each in app.schedules()}
    assert made["good"] is None
    assert "KeyError" in made["job"]
    assert "no task" in made["no_task"]
    assert made.get("misfit")
    assert made["naive"]


def test_an_app_is_named_after_its_module() -> None:
    assert App().name == __name__
    assert App(name="shop").name == "shop"


def test_the_client_makes_shows_and_ends_schedules(pg: Database) -> None:
    with Client(pg.dsn) as client:
        made = client.schedule("s", "0 9 * * *", "k", {"a": 1}, time_zone="Europe/Berlin", timeout=60)
        assert made.changed
        (shown,) = client.schedules()
        assert (shown.name, shown.next_run, shown.timeout) == ("s", made.next_run, timedelta(minutes=1))
        assert client.next_runs("0 9 * * *", "Europe/Berlin", n=1) == [made.next_run]
        assert (client.pause_schedule("s"), client.resume_schedule("s")) == (True, True)
        assert client.job(client.run_schedule("s")).args == {"a": 1}
        assert client.unschedule("s") is True
        with pytest.raises(UnknownJob, match="no schedule 's'"):
            client.pause_schedule("s")
        with pytest.raises(InvalidArgument, match="hour is 25"):
            client.schedule("s", "0 25 * * *", "k")


async def arun(dsn: str) -> None:
    async with AsyncClient(dsn) as client:
        (answer,) = await client.sync_schedules("app", [{"name": "s", "cron": "@daily", "kind": "k"}])
        assert (answer.name, answer.action, answer.error) == ("s", "added", None)
        assert [schedule.declared_by for schedule in await client.schedules()] == ["app"]


def test_the_async_client_too(pg: Database) -> None:
    import asyncio

    asyncio.run(arun(pg.dsn))

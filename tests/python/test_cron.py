"""`@app.cron`: what is declared, wherever the decorator stands; and schedules through the clients."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pgqueue import App, AsyncClient, Backoff, Client, InvalidArgument, UnknownJob
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

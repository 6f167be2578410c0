"""Options of uniqueness and composition: checked when a task is declared, sent as they are meant."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

import pgqueue
from pgqueue import App, Conflict, Context, InvalidArgument, NotSerialisable, QueueFull
from pgqueue._calls import Calls
from pgqueue.errors import PgQueueError, translate
from pgqueue.testing import drain
from tests.support.cluster import Database


@pytest.fixture
def app(pg: Database) -> Iterator[App]:
    app = App(pg.dsn, name="options")

    @app.task(unique_by=["customer"])
    def sync(customer: int, full: bool = False) -> int:
        return customer

    @app.task
    def note(text: str, at: datetime | None = None) -> str:
        return text

    @app.task
    def told(text: str, about: Any = None, parent: int = 0) -> None: ...

    yield app
    app.close()


def test_a_key_is_made_of_the_arguments_named(app: App) -> None:
    sync = app.tasks["sync"]
    first = sync.enqueue(1)
    assert first.created
    again = sync.enqueue(1, full=True)
    assert (again.created, again.id) == (False, first.id)
    assert sync.enqueue(2).created
    assert sync.options(unique_by=()).enqueue(1, full=True).created
    assert not sync.options(unique_by=[]).enqueue(1, full=True).created
    assert sync.options(unique_by=None).enqueue(1).created


def test_a_key_takes_the_place_of_the_arguments_and_back(app: App) -> None:
    sync = app.tasks["sync"]
    keyed = sync.options(unique_key="mine").enqueue(1)
    assert keyed.job().unique_key == "mine"
    by = sync.options(unique_key="mine").options(unique_by=["customer"]).enqueue(1)
    assert by.job().unique_key != "mine"


def test_of_a_million_with_one_key_there_is_one(app: App) -> None:
    handles = app.tasks["sync"].enqueue_many((number % 3,) for number in range(100))
    assert handles.created == 3
    assert len(set(handles.ids)) == 3


def test_what_a_duplicate_does(app: App) -> None:
    note = app.tasks["note"].options(unique_key="k", delay=60)
    first = note.enqueue("one")
    due = first.job().run_at
    assert note.options(on_duplicate="return").enqueue("two").id == first.id
    assert first.job().args == {"text": "one"}
    replaced = note.options(on_duplicate="replace", delay=3600).enqueue("three")
    assert (replaced.created, replaced.id) == (False, first.id)
    assert (first.job().args, first.job().run_at) == ({"text": "three"}, due)
    assert note.options(on_duplicate="debounce", delay=3600).enqueue("four").id == first.id
    after = first.job()
    assert after.args == {"text": "four"}
    assert after.run_at is not None and due is not None
    assert after.run_at > due + timedelta(seconds=3000)
    with pytest.raises(Conflict):
        note.options(on_duplicate="raise").enqueue("five")


def test_a_key_until_the_start_and_for_a_time(app: App, pg: Database) -> None:
    note = app.tasks["note"].options(unique_key="k")
    for options in ({"unique_until": "start"}, {"unique_for": 3600}, {"unique_for": timedelta(hours=1)}):
        handle = note.options(unique_key=str(options), **options).enqueue("x")  # type: ignore[arg-type]
        assert not note.options(unique_key=str(options), **options).enqueue("x").created  # type: ignore[arg-type]
        with pg.connect() as connection:
            assert [job.state for job in drain(app, connection)] == ["succeeded"]
        again = note.options(unique_key=str(options), **options).enqueue("x")  # type: ignore[arg-type]
        assert again.created == ("unique_for" not in options)
        assert (again.id == handle.id) == ("unique_for" in options)
        with pg.connect() as connection:
            drain(app, connection)
    both = note.options(unique_for=60).options(unique_until="start")
    assert both.settings.unique_for is None


def test_names_are_checked_when_the_task_is_declared(app: App) -> None:
    with pytest.raises(InvalidArgument, match="'order', which is no argument"):

        @app.task(unique_by=["order"])
        def ship(number: int) -> None: ...

    assert "ship" not in app.tasks
    with pytest.raises(InvalidArgument, match="'z', which is no argument"):
        app.tasks["sync"].options(unique_by=("z",))
    with pytest.raises(InvalidArgument, match=r"\('customer',\)"):
        app.tasks["sync"].options(unique_by="customer")

    @app.task(unique_by=["anything"])
    def open_ended(**rest: int) -> None: ...

    assert open_ended.enqueue(anything=1).created
    assert not open_ended.enqueue(anything=1, more=2).created


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"unique_until": "end", "unique_key": "k"}, "unique_until"),
        ({"on_duplicate": "maybe", "unique_key": "k"}, "on_duplicate"),
        ({"on_duplicate": "replace"}, "without a unique key"),
        ({"unique_key": "k", "unique_by": ["text"]}, "both unique_key and unique_by"),
        ({"unique_key": "k", "unique_for": 1, "unique_until": "start"}, "both unique_until and unique_for"),
        ({"unique_key": "k", "unique_for": -1}, "unique_for"),
        ({"on_parent_failure": "shrug"}, "on_parent_failure"),
        ({"depends_on": "7"}, "depends_on"),
        ({"depends_on": ["x"]}, "depends_on"),
        ({"depends_on": 1.5}, "depends_on"),
        ({"on_success": "notify"}, "on_success takes calls"),
        ({"on_error": [1]}, "on_error takes calls"),
        ({"unique_if": 1}, "no option"),
    ],
)
def test_what_cannot_be_right_is_refused(app: App, options: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidArgument, match=told):
        app.tasks["note"].options(**options).enqueue("x")
    assert app.client.jobs() == []


def test_a_kind_of_another_program_takes_the_same_options(app: App) -> None:
    first = app.enqueue("elsewhere", {"a": 1, "b": 2}, unique_by=["a"])
    assert app.enqueue("elsewhere", {"a": 1, "b": 3}, unique_by=["a"]).id == first.id


def test_many_of_any_kind(app: App) -> None:
    made = app.client.enqueue_many(
        [
            {"kind": "a", "args": {"n": 1}, "unique_by": ("n",), "unique_for": timedelta(hours=1)},
            {"kind": "a", "args": {"n": 1}, "unique_by": ["n"], "on_duplicate": "return"},
            {
                "kind": "b",
                "on_success": {"kind": "c", "delay": timedelta(seconds=5)},
                "unique_key": "k",
                "unique_for": 9.5,
            },
        ]
    )
    assert [each.created for each in made] == [True, False, True]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda note, told: note.s(), "do not fit"),
        (lambda note, told: note.s({1}), "argument 'text'"),
        (lambda note, told: note.enqueue(pgqueue.result), "stands for a whole argument"),
        (lambda note, told: note.s([pgqueue.result]), "stands for a whole argument"),
        (lambda note, told: note.options(on_error=told.s(pgqueue.result)), "receives pgqueue.error"),
        (lambda note, told: note.options(on_success=told.s(pgqueue.error)), "receives pgqueue.result"),
        (lambda note, told: note.options(on_success=told.s(pgqueue.result, pgqueue.result)), "as one argument"),
        (lambda note, told: note.options(on_success=told.options(depends_on=1).s("x")), "cannot depend"),
        (lambda note, told: note.options(depends_on=1).enqueue(pgqueue.error), "only a call in on_error"),
        (lambda note, told: note.options(unique_by=["text"]).s(pgqueue.result), "known only when"),
        (lambda note, told: note.options(unique_by=()).s(pgqueue.result), "known only when"),
        (lambda note, told: note.options(unique_key=lambda text: f"k {text}").s(pgqueue.result), "placeholder"),
    ],
)
def test_calls_are_checked_when_they_are_bound(app: App, make: Callable[..., object], told: str) -> None:
    with pytest.raises(InvalidArgument, match=told):
        make(app.tasks["note"], app.tasks["told"])


def test_a_placeholder_nobody_takes_out_is_named(app: App) -> None:
    with pytest.raises(NotSerialisable, match="argument 'text'"):
        app.tasks["note"].enqueue_many([(pgqueue.result,)])
    assert repr(pgqueue.result) == "pgqueue.result"


def test_follow_ups_are_sent_as_jobs() -> None:
    app = App("unused")

    @app.task(queue="mail", max_attempts=2)
    def told(text: str, about: Any = None) -> None: ...

    @app.task(
        on_success=told.options(delay=timedelta(minutes=1)).s("good", about=pgqueue.result), on_error=told.s("bad")
    )
    def work() -> None: ...

    shared = work.settings.shared()
    assert shared["on_error"] == [
        {"kind": "told", "args": {"text": "bad"}, "queue": "mail", "priority": 0, "max_attempts": 2}
    ]
    call = Calls().enqueue("work", **{**shared, "queue": "default"})
    assert call.params["on_success"] == (
        '[{"kind":"told","args":{"text":"good"},"queue":"mail","priority":0,"delay":"60000000 microseconds",'
        '"max_attempts":2,"pass_as":"about"}]'
    )


@pytest.mark.parametrize("given", ["notify", 7, ["notify"], "call"])
def test_the_plain_functions_take_follow_ups_as_documents(given: Any) -> None:
    @App("unused").task
    def told(about: Any) -> None: ...

    bad = told.s(pgqueue.error) if given == "call" else given
    for call in (Calls().schedule, Calls().enqueue):
        names = {"name": "n", "cron": "@daily"} if call.__name__ == "schedule" else {}
        with pytest.raises(InvalidArgument, match="on_error takes a mapping or several"):
            call(kind="k", on_error=bad, **names)  # type: ignore[operator]


@pytest.mark.parametrize("options", [{"depends_on": [1]}, {"on_parent_failure": "run"}])
def test_a_schedule_says_what_it_cannot_carry(options: dict[str, Any]) -> None:
    app = App("unused")

    @app.task
    def daily(n: int = 1) -> None: ...

    app.cron("@daily")(daily.options(**options))
    assert next(iter(options)) in app.schedules()[0]["refused"]


def test_headers_of_ours_are_not_passed_on() -> None:
    class Job:
        id, queue, kind, attempt, max_attempts, crashes = 1, "q", "k", 1, 1, 0
        headers = {"trace": "t", "$results": {"x": "one"}}  # noqa: RUF012

    context = Context(Job(), None, logger=logging.getLogger())  # type: ignore[arg-type]
    assert context.headers == {"trace": "t"}


def test_a_full_queue_has_its_exception() -> None:
    import psycopg.errors

    class Full(psycopg.errors.Error):
        sqlstate = "PQ008"

    assert isinstance(translate(Full("full")), QueueFull)
    assert issubclass(QueueFull, PgQueueError)


def test_async_alike(pg: Database) -> None:
    app = App(pg.dsn)

    @app.task(unique_by=["n"], on_duplicate="raise")
    async def work(n: int) -> None: ...

    async def main() -> None:
        assert (await work.aenqueue(1)).created
        with pytest.raises(Conflict):
            await work.aenqueue(1)
        assert (await work.options(on_duplicate="return").aenqueue_many([(1,), (2,)])).created == 1
        await app.aclose()

    asyncio.run(main())

"""enqueue_many with more than one slice: all or none, constant memory, progress, the element to blame, interruption."""

from __future__ import annotations

import asyncio
import inspect
import signal
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Literal

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgqueue import App, InvalidArgument, JobHandles, NotSerialisable, Task
from pgqueue._bulk import located
from pgqueue.errors import ConnectionLost
from pgqueue.handle import JobCount
from tests.support.cluster import Database, wait_for

Door = Callable[..., Any]


def _app(dsn: str, **options: Any) -> App:
    app = App(dsn, **options)

    @app.task
    def note(n: Any, pad: str = "") -> None: ...

    @app.task(unique_key=lambda key: key)
    def once(key: str) -> None: ...

    return app


@pytest.fixture
def app(pg: Database) -> Iterator[App]:
    # A test that would wait for a lock for ever fails instead.
    app = _app(make_conninfo(pg.dsn, options="-c lock_timeout=20s"))
    yield app
    app.close()


def _blocking(task: Task[..., Any], calls: Iterable[Any], **options: Any) -> Any:
    return task.enqueue_many(calls, **options)


def _awaited(task: Task[..., Any], calls: Iterable[Any], **options: Any) -> Any:
    """Through the async door, the input asynchronous and progress a coroutine function."""
    progress = options.pop("progress", None)

    async def source() -> AsyncIterator[Any]:
        for call in calls:
            yield call

    async def report(jobs: int) -> None:
        progress(jobs)

    async def main() -> Any:
        try:
            if progress is not None:
                options["progress"] = report
            return await task.aenqueue_many(source(), **options)
        finally:
            await task._clients.aclose()

    return asyncio.run(main())


@pytest.fixture(params=[_blocking, _awaited], ids=["blocking", "async"])
def door(request: pytest.FixtureRequest) -> Door:
    return request.param  # type: ignore[no-any-return]


def _stored(pg: Database) -> int:
    with pg.connect() as connection:
        return connection.execute("select count(*) from pgqueue.job").fetchone()[0]  # type: ignore[index, no-any-return]


# -- what comes of it -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prepare_threshold", [5, None], ids=["pipelined", "behind a pooler"])
def test_handles_stand_in_the_order_of_the_input(pg: Database, door: Door, prepare_threshold: int | None) -> None:
    app = _app(pg.dsn, prepare_threshold=prepare_threshold)
    handles = door(app.tasks["note"], ((n,) for n in range(7_300)))
    app.close()
    assert isinstance(handles, JobHandles)
    assert len(handles) == handles.created == 7_300
    with pg.connect() as connection:
        rows = connection.execute(
            "select (args ->> 'n')::int from unnest(%s::bigint[]) with ordinality e(id, ord)"
            " join pgqueue.job using (id) order by ord",
            [list(handles.ids)],
        ).fetchall()
    assert [row[0] for row in rows] == list(range(7_300))
    assert _stored(pg) == 7_300


def test_progress_counts_what_the_server_has_taken(app: App, door: Door) -> None:
    told: list[int] = []
    door(app.tasks["note"], ((n,) for n in range(6_500)), progress=told.append)
    assert told == [1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 6_500]
    told.clear()
    door(app.tasks["note"], [(1,)], progress=told.append)
    door(app.tasks["note"], [], progress=told.append)
    assert told == [1]


def test_progress_is_told_while_the_input_is_slow(app: App) -> None:
    """An answer that is in is reported soon, not when as many slices are under way as may be."""
    told = [0]
    behind = 0

    def calls() -> Iterator[tuple[int]]:
        nonlocal behind
        for n in range(10_000):
            if n % 1_000 == 999:
                with app.client.pool().connection() as other:
                    _idle(other)
                behind = max(behind, n + 1 - told[-1])
            yield (n,)

    app.tasks["note"].enqueue_many(calls(), progress=told.append)
    assert behind <= 3_000
    assert told[-1] == 10_000


def _idle(connection: psycopg.Connection[Any]) -> None:
    """Until no other session of this database executes anything."""
    wait_for(
        lambda: (
            connection.execute(
                "select count(*) from pg_stat_activity where datname = current_database()"
                " and pid <> pg_backend_pid() and wait_event_type is distinct from 'Client'"
                " and backend_type = 'client backend'"
            ).fetchone()
            == (0,)
        ),
        "the server has done what it was sent",
    )


def test_without_handles_there_are_counts(app: App, door: Door) -> None:
    app.tasks["once"].enqueue("7")
    counts = door(app.tasks["once"], ((str(n % 1_500),) for n in range(3_000)), handles=False)
    assert counts == JobCount(jobs=3_000, created=1_499)
    assert door(app.tasks["once"], [], handles=False) == (0, 0)


# -- memory -----------------------------------------------------------------------------------------------------------


def test_the_input_is_read_no_further_than_a_few_slices_ahead(app: App) -> None:
    told = [0]
    ahead = 0

    def calls() -> Iterator[tuple[int]]:
        nonlocal ahead
        for n in range(20_000):
            ahead = max(ahead, n - told[-1])
            yield (n,)

    app.tasks["note"].enqueue_many(calls(), progress=told.append, handles=False)
    assert ahead <= 6_000


def _peak(run: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_input(app: App) -> None:
    note = app.tasks["note"]

    def peak(jobs: int, handles: Literal[True, False]) -> int:
        return _peak(lambda: note.enqueue_many(((n,) for n in range(jobs)), handles=handles))

    peak(2_000, False)
    few = peak(5_000, False)
    assert peak(20_000, False) - few < 40_000
    # The bound would notice nine bytes a job.
    assert peak(20_000, True) - few > 80_000


def test_large_args_are_under_way_one_slice_at_a_time(app: App) -> None:
    pad = "x" * 1_000_000
    peak = _peak(lambda: app.tasks["note"].enqueue_many(((n, pad + str(n)) for n in range(30)), handles=False))
    assert peak < 40_000_000


_MILLION = """
import resource, sys
from pgqueue import App

app = App(sys.argv[1])

@app.task
def note(n: int) -> None: ...

def largest() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

note.enqueue_many(((n,) for n in range(50_000)), handles=False)
before = largest()
counts = note.enqueue_many(((n,) for n in range(1_000_000)), handles=False)
print(counts.created, largest() - before)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_million_jobs_in_the_memory_of_a_few(pg: Database) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", _MILLION, pg.dsn], capture_output=True, text=True, check=True, timeout=600
    ).stdout
    created, growth = map(int, answer.split())
    assert created == 1_000_000
    assert _stored(pg) == 1_050_000
    assert growth < 4_000_000


# -- all or none ------------------------------------------------------------------------------------------------------


def _failing(jobs: int, error: Exception) -> Iterator[tuple[int]]:
    for n in range(jobs):
        yield (n,)
    raise error


def test_an_error_of_the_input_is_passed_on_and_nothing_is_stored(app: App, pg: Database, door: Door) -> None:
    for jobs in (10, 1_000, 8_500):
        with pytest.raises(LookupError, match="the source"):
            door(app.tasks["note"], _failing(jobs, LookupError("the source")))
    assert _stored(pg) == 0
    assert len(door(app.tasks["note"], [(1,)])) == 1


@pytest.mark.timeout(15)
def test_an_error_of_the_input_does_not_wait_for_what_is_under_way(app: App, pg: Database, door: Door) -> None:
    with pg.connect(autocommit=False) as blocker:
        blocker.execute("lock table pgqueue.job in exclusive mode")
        with pytest.raises(LookupError, match="the source"):
            door(app.tasks["note"], _failing(3_500, LookupError("the source")))
    assert _stored(pg) == 0


def test_an_error_of_progress_stops_it(app: App, pg: Database, door: Door) -> None:
    def progress(jobs: int) -> None:
        if jobs == 2_000:
            raise LookupError("the display")

    with pytest.raises(LookupError, match="the display"):
        door(app.tasks["note"], ((n,) for n in range(9_000)), progress=progress)
    assert _stored(pg) == 0


def test_the_blocking_door_cannot_await_progress(app: App, pg: Database) -> None:
    async def progress(jobs: int) -> None: ...

    with pytest.raises(InvalidArgument, match="aenqueue_many"):
        app.tasks["note"].enqueue_many([(1,)], progress=progress)
    assert _stored(pg) == 0


# -- the element to blame ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "kind", "message"),
    [
        (({1},), NotSerialisable, r"^element 5432: argument 'n' is of type set"),
        (("a\0",), NotSerialisable, r"^element 5432: argument 'n' contains a NUL"),
        ((1, "", 2), InvalidArgument, r"^element 5432: arguments do not fit task 'note'"),
        ("text", InvalidArgument, r"^element 5432: enqueue_many takes tuples or mappings"),
    ],
)
def test_arguments_that_cannot_be_are_named(
    app: App, pg: Database, door: Door, bad: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        door(app.tasks["note"], (bad if n == 5_432 else (n,) for n in range(1, 9_000)))
    assert _stored(pg) == 0


def test_what_the_server_refuses_is_named_too(app: App, pg: Database, door: Door) -> None:
    """Slices behind the bad one are under way then; theirs is not the blame, although they are worse."""

    def calls() -> Iterator[tuple[str]]:
        for n in range(1, 9_000):
            yield ("x" * 10_000 if n in (2_345, 3_456) else f"key {n}",)

    with pytest.raises(InvalidArgument, match=r"^element 2345: unique_key"):
        door(app.tasks["once"], calls())
    with pytest.raises(InvalidArgument, match=r"^element 7: unique_key"):
        door(app.tasks["once"], [("a",)] * 6 + [("x" * 10_000,)])
    assert _stored(pg) == 0
    with pg.connect(autocommit=False) as connection:
        with pytest.raises(InvalidArgument, match=r"^element 2345: unique_key"):
            app.tasks["once"].on(connection).enqueue_many(calls())
        assert app.tasks["once"].on(connection).enqueue("after").created


def test_an_option_is_nobodys_blame(app: App, door: Door) -> None:
    with pytest.raises(InvalidArgument, match=r"^max_attempts"):
        door(app.tasks["note"].options(max_attempts=100_000), ((n,) for n in range(3_000)))


def test_errors_of_a_key_function_say_where(app: App) -> None:
    keyed = app.tasks["note"].options(unique_key=lambda n, pad="": {1: "one"}[n])
    with pytest.raises(KeyError) as caught:
        keyed.enqueue_many([(1,), (2,)])
    assert caught.value.__notes__ == ["in element 2 of enqueue_many"]


def test_refusals_without_an_element_name_the_slice() -> None:
    told = located(InvalidArgument("too large", "make it smaller", "54000"), 3_000, 1_000)
    assert (told.message, told.hint, told.sqlstate) == ("elements 3001 to 4000: too large", "make it smaller", "54000")


# -- the caller's connection ------------------------------------------------------------------------------------------


def test_nothing_is_committed_on_the_callers_connection(app: App, pg: Database) -> None:
    with pg.connect(autocommit=False) as connection:
        assert len(app.tasks["note"].on(connection).enqueue_many((n,) for n in range(2_500))) == 2_500
        connection.rollback()
        assert _stored(pg) == 0
        app.tasks["note"].on(connection).enqueue_many([(1,)])
        connection.commit()
    assert _stored(pg) == 1


def test_nothing_is_committed_on_the_callers_async_connection(app: App, pg: Database) -> None:
    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(pg.dsn) as connection:
            await app.tasks["note"].on(connection).aenqueue_many([(1,)])
            await connection.rollback()
        await app.aclose()

    asyncio.run(main())
    assert _stored(pg) == 0


def test_a_failure_takes_back_its_own_jobs_only(app: App, pg: Database) -> None:
    note = app.tasks["note"]
    with pg.connect(autocommit=False) as connection:
        note.on(connection).enqueue("mine")
        with pytest.raises(LookupError):
            note.on(connection).enqueue_many(_failing(2_500, LookupError("the source")))
        note.on(connection).enqueue("mine too")
    assert _stored(pg) == 2


def test_the_input_may_be_read_from_the_same_connection(app: App, pg: Database) -> None:
    with pg.connect(autocommit=False) as connection, connection.cursor("numbers") as numbers:
        numbers.execute("select n from generate_series(1, 2500) n")
        told: list[int] = []
        app.tasks["note"].on(connection).enqueue_many(numbers, progress=told.append)
    assert told == [1_000, 2_000, 2_500]
    assert _stored(pg) == 2_500


# -- overlap and interruption -----------------------------------------------------------------------------------------


def test_the_next_slices_are_made_while_the_server_works(app: App, pg: Database, door: Door) -> None:
    """The server cannot answer before the source has got to its fourth slice: one that waited for each answer would
    wait for ever.
    """
    with pg.connect(autocommit=False) as blocker:
        blocker.execute("lock table pgqueue.job in exclusive mode")

        def calls() -> Iterator[tuple[int]]:
            for n in range(8_000):
                if n == 3_500:
                    blocker.commit()
                yield (n,)

        assert len(door(app.tasks["note"], calls())) == 8_000


def _is_waiting(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute(
        "select count(*) from pg_locks l join pg_database d on d.oid = l.database"
        " where d.datname = current_database() and not l.granted"
    ).fetchone()
    return row is not None and row[0] > 0


@pytest.mark.parametrize("jobs", [500, 2_500, 50_000], ids=["one statement", "waiting", "encoding"])
@pytest.mark.timeout(15)
def test_ctrl_c_leaves_no_job_and_a_usable_app(app: App, pg: Database, jobs: int) -> None:
    with pg.connect(autocommit=False) as blocker, pg.connect() as observer:
        blocker.execute("lock table pgqueue.job in exclusive mode")

        def interrupt() -> None:
            wait_for(lambda: _is_waiting(observer), "the enqueue waits")
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            app.tasks["note"].enqueue_many((n,) for n in range(jobs))
        thread.join()
        wait_for(lambda: not _is_waiting(observer), "the server has stopped")
        blocker.rollback()
    assert _stored(pg) == 0
    assert len(app.tasks["note"].enqueue_many((n,) for n in range(2_500))) == 2_500


def test_cancelling_the_task_leaves_no_job_and_a_usable_app(app: App, pg: Database) -> None:
    note = app.tasks["note"]

    async def main() -> None:
        with pg.connect(autocommit=False) as blocker, pg.connect() as observer:
            blocker.execute("lock table pgqueue.job in exclusive mode")
            task = asyncio.ensure_future(note.aenqueue_many((n,) for n in range(50_000)))
            await asyncio.to_thread(wait_for, lambda: _is_waiting(observer), "the enqueue waits")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            blocker.rollback()
        assert _stored(pg) == 0
        assert (await note.aenqueue_many((n,) for n in range(2_500))).created == 2_500
        await app.aclose()

    asyncio.run(main())


def test_a_lost_connection_leaves_no_job_and_a_usable_app(app: App, pg: Database, door: Door) -> None:
    def cut(jobs: int) -> None:
        if jobs == 3_000:
            with pg.connect() as connection:
                connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and pid <> pg_backend_pid()"
                )

    with pytest.raises(ConnectionLost):
        door(app.tasks["note"], ((n,) for n in range(20_000)), progress=cut)
    assert _stored(pg) == 0
    assert len(door(app.tasks["note"], ((n,) for n in range(2_500)))) == 2_500


def test_both_doors_are_alike() -> None:
    def options(door: Callable[..., Any]) -> list[str]:
        return list(inspect.signature(door).parameters)

    assert options(Task.enqueue_many) == options(Task.aenqueue_many)

"""The drivers: they do exactly what they were told, count it, and say what went wrong."""

from __future__ import annotations

import pytest

from pgqueue.bench import Bench, WrongCounts
from pgqueue.bench._load import LoadFailed, Script

pytestmark = pytest.mark.slow


def test_calls_are_shared_out_to_the_last(bench: Bench) -> None:
    bench.execute("create table calls (who text)")
    script = Script(("insert into calls values ($1) returning 1, 2, 'unused'",))
    load = bench.crew.drive(script, 3, calls=10, starts=[("a",), ("b",), ("c",)])
    assert (load.turns, load.jobs, load.connections) == (10, 20, 3)
    assert load.seconds > 0
    found = bench.connection.execute("select who, count(*) from calls group by who order by who").fetchall()
    assert found == [("a", 4), ("b", 3), ("c", 3)]  # and nothing of the turn that was taken to warm up


def test_a_run_ends_when_the_time_is_up(bench: Bench) -> None:
    load = bench.crew.drive(Script(("select 1, 1",)), 2, seconds=0.2)
    assert load.jobs == load.turns > 2
    assert 0.2 <= load.seconds < 2


def test_a_chained_script_carries_its_row_from_turn_to_turn_and_settles_at_last(bench: Bench) -> None:
    bench.execute("create table log (n int)")
    script = Script(
        ("select 1, 0, $1::int + 1",),
        start=("1",),
        chained=True,
        last="insert into log values ($1::int) returning 0, 7",
    )
    load = bench.crew.drive(script, 1, calls=5)
    assert (load.turns, load.jobs) == (5, 7)
    assert bench.value("select n from log") == 6


def test_what_the_server_refuses_is_raised_and_the_crew_goes_on(bench: Bench) -> None:
    with pytest.raises(LoadFailed, match="division by zero"):
        bench.crew.drive(Script(("select 1, 1 / $1::int",), ("0",)), 2, calls=2)
    with pytest.raises(LoadFailed, match="syntax error"):
        bench.crew.drive(Script(("selec",)), 2, calls=2)
    assert bench.crew.drive(Script(("select 1, 1",)), 4, calls=4).jobs == 4


def test_rounds_leave_exact_counts(bench: Bench) -> None:
    for jobs in (100, 1000):
        bench.empty()
        assert bench.limit_enqueue(jobs) > 0
        assert bench.limit_drain(jobs) > 0
        for chained in (False, True):
            bench.empty()
            bench.enqueue(jobs)
            assert bench.last.jobs == jobs
            bench.drain(jobs, chained=chained)
            assert bench.last.jobs == jobs
            bench.verify(jobs)


@pytest.mark.parametrize("chained", [False, True])
def test_counts_are_exact_without_history_with_retries_groups_and_several_queues(bench: Bench, chained: bool) -> None:
    bench.configure_queue("default", history="none")
    bench.enqueue(500)
    bench.drain(500, chained=chained)
    bench.verify(500, history=False)

    bench.empty()
    bench.enqueue(500)
    again = bench.value(f"select count(*) from {bench.schema}.ready where job_id % 10 = 0")
    bench.drain(500, chained=chained, retry_share=0.1)
    bench.verify(500, attempts=500 + again)

    bench.empty()
    bench.enqueue(500, queue="a", group_keys=True)
    bench.enqueue(500, queue="it's b", priority=3)
    bench.drain(1000, queues=["a", "it's b"], chained=chained, urgent=True)
    bench.verify(1000)


@pytest.mark.parametrize("table", ["ready", "job"])
def test_a_lost_job_is_noticed(bench: Bench, table: str) -> None:
    bench.enqueue(300)
    bench.execute(f"delete from {bench.schema}.{table} where ctid = (select min(ctid) from {bench.schema}.{table})")
    if table == "job":
        bench.execute(f"delete from {bench.schema}.ready where job_id not in (select id from {bench.schema}.job)")
    bench.drain(299)
    with pytest.raises(WrongCounts, match="299 instead of 300"):
        bench.verify(300)


def test_a_job_that_is_left_is_noticed(bench: Bench) -> None:
    bench.enqueue(300)
    bench.drain(200)
    with pytest.raises(WrongCounts):
        bench.verify(200)


def test_rounds_start_from_nothing(bench: Bench) -> None:
    bench.enqueue(200)
    bench.configure_queue("default", max_running=1)
    bench.empty()
    bench.verify(0)
    bench.enqueue(100)
    assert bench.value(f"select min(job_id) from {bench.schema}.ready") <= 500  # those of warming up come before
    assert bench.value(f"select count(*) from {bench.schema}.queue") == 0


def test_the_pinned_snapshot_holds_dead_rows_back_only_as_long_as_it_is_there(bench: Bench) -> None:
    with bench.pinned():
        held = bench.value(
            "select count(*) from pg_stat_activity where backend_xmin is not null and state like 'idle in%'"
        )
        assert held == 1
    assert bench.value("select count(*) from pg_stat_activity where state like 'idle in%'") == 0

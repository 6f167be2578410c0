"""Owners with settings of their own: weights of their turns, limits and rates, changed while the queue is at work."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from psycopg.types.json import Jsonb

from tests.sql.calls import Caller, Row
from tests.sql.test_rates import most_in_a_window
from tests.support.seeds import seeds

Session = Callable[[], Caller]
NOON = datetime.fromisoformat("2030-01-01 12:00:00+00")


def at(q: Caller, seconds: float) -> None:
    q.clock(str(NOON + timedelta(seconds=seconds)))


def ask(q: Caller, **counts: int) -> None:
    """Queries of owners, in their order; none is like another."""
    for owner, n in counts.items():
        q.sql(
            "select count(*) from generate_series(1, %s) n, "
            "lateral pgqueue.submit_query('select ' || n, owner => %s, \"unique\" => false)",
            n,
            owner,
        )


def weigh(q: Caller, queue: str = "queries", **weights: int | None) -> None:
    for owner, weight in weights.items():
        q("configure_group", queue=queue, group_key=owner, settings={"weight": weight})


def give(q: Caller, worker: int, turns: int, at_once: int = 1) -> str:
    """The owners of so many turns, in their order; each ends before the next claim."""
    order = ""
    while len(order) < turns:
        taken = q.claim(worker, min(at_once, turns - len(order)), ["queries"])
        if not taken:
            break
        order += "".join(job["group_key"] for job in taken)
        q.settle(taken, "cancelled")
    return order


def test_turns_go_by_weight(q: Caller) -> None:
    weigh(q, a=3)
    ask(q, a=20, b=20)
    assert give(q, q.worker("queries"), 12) == "abaaabaaabaa"


@pytest.mark.parametrize("at_once", [1, 5, 24])
@pytest.mark.parametrize("weights", [(3, 1), (2, 3, 7), (1, 1000), (999, 1000)])
def test_shares_are_exact_while_all_wait(q: Caller, at_once: int, weights: tuple[int, ...]) -> None:
    """In each stretch of turns, to less than one turn of each other owner."""
    given = dict(zip("abc", weights, strict=False))
    weigh(q, **given)
    ask(q, **dict.fromkeys(given, 120))
    turns = sum(weights) * 9 if sum(weights) < 1000 else 108
    order = give(q, q.worker("queries"), turns, at_once)
    done = Counter(order)
    assert sum(done.values()) == turns
    for owner, weight in given.items():
        assert abs(done[owner] - turns * weight / sum(weights)) < 1.01, (done, owner)


@pytest.mark.parametrize("kind", ["script", "query"])
def test_scripts_too_query_by_query(q: Caller, kind: str) -> None:
    queue = "scripts"
    weigh(q, queue, a=2)
    for owner in "ab":
        if kind == "script":
            q("submit_script", document=Jsonb(["select 1"] * 30), owner=owner)
        else:
            for n in range(30):
                q("submit_query", sql=f"select {n}, '{owner}'", owner=owner, queue=queue)
    worker, order = q.worker(queue), ""
    for _ in range(30):
        (job,) = q.claim(worker, 1, [queue])
        order += job["group_key"]
        if kind == "query":
            q.settle([job], "cancelled")
            continue
        orders = {"lease": job["lease"], "job": job["id"]}
        q.one("script_begin", **orders, backend_pid=1, backend_start="2026-01-01")
        assert q.settle([job], q.one("script_end", **orders)["verdict"]) == []
    assert Counter(order) == {"a": 20, "b": 10}


def test_a_weight_counts_from_its_change_on(q: Caller) -> None:
    """What was had before is not counted anew: nobody has to make up for it, and nobody has anything left."""
    ask(q, a=400, b=400)
    worker = q.worker("queries")
    assert Counter(give(q, worker, 100)) == {"a": 50, "b": 50}
    weigh(q, a=4)
    assert Counter(give(q, worker, 50)) == {"a": 40, "b": 10}
    weigh(q, a=1, b=9)
    assert Counter(give(q, worker, 50)) == {"a": 5, "b": 45}
    weigh(q, a=1000, b=None)
    after = give(q, worker, 30)
    assert after.count("b") <= 2
    weigh(q, a=None)
    order = give(q, worker, 40)
    assert abs(order.count("a") - order.count("b")) <= 2
    assert "aaa" not in order and "bbb" not in order


def test_it_lasts_over_an_idle_queue(q: Caller) -> None:
    weigh(q, a=3)
    worker = q.worker("queries")
    for _ in range(3):
        ask(q, a=6, b=6)
        assert Counter(give(q, worker, 8)) == {"a": 6, "b": 2}
        assert give(q, worker, 100) == "bbbb"
        assert q.claim(worker, 1, ["queries"]) == []
    assert q.places() == {}


@pytest.mark.parametrize("sessions", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_several_sessions_share_by_weight(q: Caller, session: Session, sessions: int) -> None:
    """More owners than sessions, whose claims pass over whom another has in hand: that does not add up."""
    weights = {"a": 2, "b": 2, **dict.fromkeys("cdefgh", 1)}
    weigh(q, **weights)
    ask(q, **dict.fromkeys(weights, 150))
    worker = q.worker("queries")
    done: list[str] = []
    start = threading.Barrier(sessions)

    def work(own: Caller) -> None:
        start.wait()
        while len(done) < 400:
            taken = own.claim(worker, 1, ["queries"])
            done.extend(job["group_key"] for job in taken)
            own.settle(taken, "cancelled")

    threads = [threading.Thread(target=work, args=[session()]) for _ in range(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = Counter(done)
    for owner, weight in weights.items():
        assert abs(counts[owner] - len(done) * weight / 10) <= 3 * sessions, counts


def test_a_limit_of_an_owners_own(q: Caller) -> None:
    q("configure_queue", queue="queries", settings={"group_limit": 2, "max_running": None})
    q("configure_group", queue="queries", group_key="a", settings={"group_limit": 3})
    q("configure_group", queue="queries", group_key="b", settings={"group_limit": 1})
    ask(q, a=6, b=6, c=6)
    worker = q.worker("queries")
    running = q.claim(worker, 100, ["queries"])
    assert Counter(job["group_key"] for job in running) == {"a": 3, "b": 1, "c": 2}
    assert q.claim(worker, 100, ["queries"]) == []
    q("configure_group", queue="queries", group_key="b", settings={"group_limit": 4})
    assert Counter(job["group_key"] for job in q.claim(worker, 100, ["queries"])) == {"b": 3}
    q("configure_group", queue="queries", group_key="a", settings={"group_limit": None})
    q.settle(running, "cancelled")
    later = Counter(job["group_key"] for job in q.claim(worker, 100, ["queries"]))
    assert (later["a"], later["c"]) == (2, 2)


def test_a_limit_for_one_owner_alone(q: Caller) -> None:
    q("configure_group", queue="queries", group_key="a", settings={"group_limit": 1})
    q("configure_queue", queue="queries", settings={"max_running": None})
    ask(q, a=3, b=3)
    assert Counter(job["group_key"] for job in q.claim(q.worker("queries"), 100, ["queries"])) == {"a": 1, "b": 3}


def starts(q: Caller, worker: int, n: int = 100) -> Counter[str]:
    taken = q.claim(worker, n, ["queries"])
    q.settle(taken, "cancelled")
    return Counter(job["group_key"] for job in taken)


def test_a_rate_of_owners(q: Caller) -> None:
    at(q, 0)
    q("configure_queue", queue="queries", settings={"group_rate_limit": 2, "group_rate_period": 10})
    q("configure_group", queue="queries", group_key="b", settings={"rate_limit": 1, "rate_period": 4})
    ask(q, a=9, b=9)
    worker = q.worker("queries")
    assert starts(q, worker) == {"a": 2, "b": 1}
    assert starts(q, worker) == {}
    waits = q.sql("select min(job_id) from pgqueue.line where owner = 'b'")[0][0]
    assert "owner b of queue queries starts at most 1 in 00:00:04" in q.value("why", id=waits)
    assert q.value("next_due") == NOON + timedelta(seconds=4)
    for second, given in ((3.9, {}), (4, {"b": 1}), (5, {}), (8, {"b": 1}), (10, {"a": 2}), (12, {"b": 1})):
        at(q, second)
        q("maintain", duties=["promote"])
        assert starts(q, worker) == given, second


def test_who_sleeps_is_woken_by_a_look_and_by_a_change(q: Caller) -> None:
    """Without upkeep too, when another of its jobs comes."""
    at(q, 0)
    q("configure_group", queue="queries", group_key="a", settings={"rate_limit": 1, "rate_period": "1 hour"})
    ask(q, a=9, b=1)
    worker = q.worker("queries")
    assert starts(q, worker) == {"a": 1, "b": 1}
    q("configure_group", queue="queries", group_key="a", settings={"rate_limit": 3})
    assert starts(q, worker) == {"a": 2}
    at(q, 3601)
    ask(q, a=1)
    assert starts(q, worker) == {"a": 3}
    q("configure_group", queue="queries", group_key="a", settings={"rate_limit": None, "rate_period": None})
    assert starts(q, worker) == {"a": 4}
    assert q.places() == {}


def test_a_worker_is_woken_when_an_owner_has_room(q: Caller, session: Session) -> None:
    at(q, 0)
    q("configure_queue", queue="queries", settings={"group_rate_limit": 1, "group_rate_period": 10})
    ask(q, a=2)
    assert starts(q, q.worker("queries")) == {"a": 1}  # which asked for more, and goes to sleep
    sleeper = session()
    sleeper.sql("listen pgqueue_wake")
    sleeper("worker_sleep", queues=["queries"])
    at(q, 10)
    q("maintain", duties=["promote"])
    assert {note.payload for note in sleeper.connection.notifies(timeout=5, stop_after=1)} == {"queries"}


def test_each_query_of_a_script_is_a_start(q: Caller) -> None:
    at(q, 0)
    q("configure_group", queue="scripts", group_key="a", settings={"rate_limit": 1, "rate_period": 10})
    q("submit_script", document=Jsonb(["select 1"] * 3), owner="a")
    worker, ran = q.worker("scripts"), []
    for second in range(0, 40, 5):
        at(q, second)
        q("maintain", duties=["promote"])
        for job in q.claim(worker, 5, ["scripts"]):
            ran.append(second)
            orders = {"lease": job["lease"], "job": job["id"]}
            q.one("script_begin", **orders, backend_pid=1, backend_start="2026-01-01")
            assert q.settle([job], q.one("script_end", **orders)["verdict"]) == []
    assert ran == [0, 10, 20]
    assert q.places() == {}


@pytest.mark.parametrize("seed", seeds([1, 2, 3]))
def test_no_window_holds_more(q: Caller, session: Session, seed: int) -> None:
    """Starts, as leases tell them, of three owners by four sessions; and all have their turn in the end."""
    pick = random.Random(seed)
    limit = pick.choice([1, 3])
    q("configure_queue", queue="queries", settings={"group_rate_limit": limit, "group_rate_period": 0.2})
    ask(q, a=6, b=6, c=6)
    worker = q.worker("queries")
    found: list[Row] = []
    failures: list[Exception] = []

    def work(own: Caller, n: int) -> None:
        try:
            while len(found) < 18:
                taken = own.claim(worker, n, ["queries"])
                leases = [job["lease"] for job in taken]
                times = dict(own.sql("select id, claimed_at from pgqueue.lease where id = any(%s)", leases))
                found.extend({"owner": job["group_key"], "at": times[job["lease"]]} for job in taken)
                own.settle(taken, "cancelled")
                own("maintain", duties=["promote"])
        except Exception as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=[session(), pick.choice([1, 2, 10])]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for owner in "abc":
        begun = [row["at"] for row in found if row["owner"] == owner]
        assert len(begun) == 6
        assert most_in_a_window(begun, 0.2) <= limit
    assert q.places() == {}

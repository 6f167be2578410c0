"""Sessions beside each other at keyed queues: who waits for whom, who wins, and that budgets hold all the while."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from tests.sql.calls import Caller, Row
from tests.sql.keyed import (
    ACTIVE,
    ASTRAY,
    ack,
    add,
    added,
    by_id,
    cancel,
    claim,
    ended,
    keys,
    later,
    nothing_left,
    result,
    run,
    running,
    settle,
    state,
)
from tests.sql.support import contents, refused
from tests.sql.test_batch_locks import Started

Session = Callable[[], Caller]


@contextmanager
def impatient(q: Caller) -> Iterator[None]:
    """Whatever waits for another session fails."""
    q.sql("set lock_timeout = '50ms'")
    yield
    q.sql("reset lock_timeout")


# Adds


@pytest.mark.parametrize("join", [add, run])
def test_a_join_inside_an_open_transaction_stalls_no_claim(q: Caller, session: Session, join: Any) -> None:
    item = added(q, "a")
    runs = running(q, "runs")
    joiner = session()
    with joiner.connection.transaction():
        assert not add(joiner, "a", orphan_ms=10**6, external_id="e", priority=0)["created"]
        assert not add(joiner, "runs", orphan_ms=10**6, external_id="e", priority=99)["created"]
        with impatient(q):
            assert claim(q, "a", concurrency=2)["id"] == item
            assert q.value("keyed_heartbeat", id=item)
            assert ack(q, runs)
            assert cancel(q, item)
    assert state(q, item) == "cancelled"
    assert join(q, "a")["created"]


def test_a_join_with_a_higher_priority_stalls_nobody_but_its_item(q: Caller, session: Session) -> None:
    item, other = added(q, "a"), added(q, "b")
    joiner = session()
    with joiner.connection.transaction():
        add(joiner, "a", priority=10)
        with impatient(q):
            assert claim(q, "a", concurrency=5)["refused"] == "busy"
            assert add(q, "a", priority=20) == {"id": item, "created": False, "pending": 2}
            assert q.one("keyed_claim_next", queue="q", n=5)["id"] == other
            assert q.claim(q.worker("q"), queues=["q"]) == []
            assert q("keyed_reap", queue="q", orphan_ms=0) == []
    assert claim(q, "a", concurrency=5)["id"] == item


def test_adds_of_other_keys_never_meet(q: Caller, session: Session) -> None:
    one, two = session(), session()
    with one.connection.transaction():
        add(one, "a")
        with impatient(two):
            with two.connection.transaction():
                add(two, "b")
                add(two, "c", priority=7)
                add(one, "d", priority=7)
            assert claim(two, "b")["refused"] is None
    assert sorted(keys(q)) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("call", [add, run])
def test_adds_of_one_key_wait_for_the_first(q: Caller, session: Session, commits: bool, call: Any) -> None:
    one, two = session(), session()
    with one.connection.transaction(force_rollback=not commits):
        first = add(one, payload="one")["id"]
        other = Started(two, lambda q: call(q, payload="two")).waits(q)
        with impatient(q):
            assert claim(q, "k")["refused"] == "unknown"
            assert run(q, "other")["payload"] == "{}", "who waits for a key holds nothing that claims need"
    found = other.ended().answer
    assert found["created"] is not commits
    assert (found["id"] == first) is commits
    assert q.one("keyed_get", queue="q", key="k")["payload"] == ("one" if commits else "two")


@pytest.mark.parametrize("reuse", [True, False])
def test_an_add_that_waited_for_an_ack(q: Caller, session: Session, reuse: bool) -> None:
    """What was answered meanwhile is not executed again."""
    item = running(q)
    one, two = session(), session()
    with one.connection.transaction():
        assert ack(one, item, "answer")
        other = Started(two, lambda q: add(q, reuse=reuse)).waits(q)
    found = other.ended().answer
    assert found["created"] is not reuse
    assert (found["id"] == item) is reuse
    assert by_id(q, item) == "answer"


def test_a_rolled_back_add_leaves_nothing(q: Caller) -> None:
    added(q, "other")
    before = contents(q)
    with q.connection.transaction(force_rollback=True):
        added(q, external_id="e", exclusive=True, process_id="p")
        run(q, "b")
        claim(q, "other", concurrency=9)
        ended(q, "c")
    after = contents(q)
    assert {name for name in after if after[name] != before[name]} <= {"lane"}


# Claims


def colliding(q: Caller) -> tuple[str, str]:
    """Two names with one 32-bit hash."""
    ((names,),) = q.sql(
        """select array_agg('q' || g) from generate_series(1, 400000) g group by hashtext('q' || g) having count(*) > 1
           limit 1"""
    )
    return names[0], names[1]


@pytest.mark.parametrize("limited", [True, False])
def test_claims_of_different_queues_never_wait_for_each_other(q: Caller, session: Session, limited: bool) -> None:
    one, two = session(), session()
    first, second = colliding(q)
    for queue in (first, second, "Q", "q"):
        add(q, "a", queue), add(q, "b", queue)
        if limited:
            q("configure_queue", queue=queue, settings={"max_running": 2})
    with one.connection.transaction():
        claim(one, "a", first), run(one, "c", first), claim(one, "a", "q"), one("keyed_claim_next", queue="q")
        with impatient(two):
            for queue in (second, "Q"):
                assert claim(two, "a", queue)["refused"] is None
                assert two.one("keyed_claim_next", queue=queue)["key"] == "b"
                assert run(two, "c", queue, concurrency=1)["created"]
            assert add(two, "d", first)["created"]
            for function in ("keyed_keys", "keyed_list", "keyed_active", "keyed_pending"):
                two(function, queue=first)
            assert two("keyed_reap", queue=first, heartbeat_ms=10**6, orphan_ms=10**6) == []


@pytest.mark.parametrize("limited", [True, False])
@pytest.mark.parametrize("second", ["claim", "claim_next", "add_and_claim"])
@pytest.mark.parametrize("commits", [True, False])
def test_a_budget_while_a_claim_is_held_open(
    q: Caller, session: Session, limited: bool, second: str, commits: bool
) -> None:
    if limited:
        q("configure_queue", queue="q", settings={"max_running": 1})
    added(q, "a"), added(q, "b")
    one, two = session(), session()
    calls: dict[str, Callable[[Caller], Any]] = {
        "claim": lambda q: claim(q, "b")["refused"] is None,
        "claim_next": lambda q: q("keyed_claim_next", queue="q", concurrency=1) != [],
        "add_and_claim": lambda q: run(q, "c", concurrency=1)["payload"] is not None,
    }
    with one.connection.transaction(force_rollback=not commits):
        assert claim(one, "a")["refused"] is None
        other = Started(two, calls[second]).waits(q)
    got = other.ended().answer
    assert got is (not commits and second != "add_and_claim"), "two wait before the new one"
    assert q.sql(ACTIVE, "q") == [(1 if got or commits else 0,)]


@pytest.mark.parametrize("first", ["client", "worker"])
def test_workers_and_clients_wait_for_each_others_claims(q: Caller, session: Session, first: str) -> None:
    q("configure_queue", queue="q", settings={"max_running": 1})
    added(q, "a"), added(q, "b")
    one, two = session(), session()
    number = q.worker("q")
    calls: dict[str, Callable[[Caller], Any]] = {
        "client": lambda q: q("keyed_claim_next", queue="q"),
        "worker": lambda q: q.claim(number, 5, ["q"]),
    }
    with one.connection.transaction():
        assert len(calls[first](one)) == 1
        other = Started(two, calls["worker" if first == "client" else "client"]).waits(q)
    assert other.ended().answer == []
    assert q.sql(ACTIVE, "q") == [(1,)]


def test_twelve_callers_twelve_keys_budget_three(q: Caller, session: Session) -> None:
    items = {f"k{n}": added(q, f"k{n}") for n in range(12)}
    sessions = {key: session() for key in items}
    start, observer = threading.Barrier(12), session()
    seen: list[int] = []

    def work(key: str) -> None:
        start.wait(20)
        mine = sessions[key]
        while True:
            found = claim(mine, key, concurrency=3)
            assert len(found["active"]) <= 3
            if found["refused"] is None:
                assert ack(mine, items[key])
                return
            assert found["refused"] == "budget"

    with ThreadPoolExecutor(13) as pool:
        calls = [pool.submit(work, key) for key in items]
        while not all(call.done() for call in calls):
            seen.append(observer.sql(ACTIVE, "q")[0][0])
        assert [call.result() for call in calls] == [None] * 12
    assert max(seen) <= 3
    nothing_left(q)


def test_twelve_callers_one_key(q: Caller, session: Session) -> None:
    added(q)
    sessions = [session() for _ in range(12)]
    start = threading.Barrier(12)

    def work(mine: Caller) -> Row:
        start.wait(20)
        return claim(mine, concurrency=12)

    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(work, sessions))
    assert sorted(row["refused"] or "" for row in found) == ["", *["active"] * 11]


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_claims_outside_read_committed_are_refused(q: Caller, level: str) -> None:
    added(q)
    for call in (claim, lambda q: q("keyed_claim_next", queue="q"), run):
        q.sql(f"set default_transaction_isolation = '{level}'")
        with refused(q, "PQ005", level):
            call(q)
        q.sql("reset default_transaction_isolation")


# One item ends in two sessions at once


ENDS: dict[str, Callable[[Caller, int, Row | None], bool]] = {
    "ack": lambda q, item, job: ack(q, item, "ack"),
    "ack by key": lambda q, item, job: q.value("keyed_ack", queue="q", key="k", result="ack"),
    "cancel": lambda q, item, job: cancel(q, item) is not None,
    "core cancel": lambda q, item, job: q.one("cancel", id=item)["changed"],
    "reap": lambda q, item, job: q("keyed_reap", queue="q", heartbeat_ms=0, orphan_ms=0) != [],
    "truncate": lambda q, item, job: q.value("keyed_truncate", queue="q") == 1,
    "settle": lambda q, item, job: job is not None and settle(q, job, answer="settled") == [],
}
PLACES = {"pending": set(ENDS) - {"settle"}, "client": set(ENDS) - {"settle"}, "worker": set(ENDS) - {"core cancel"}}


def standing(q: Caller, place: str) -> tuple[int, Row | None]:
    item = added(q, orphan_ms=0)
    if place == "client":
        claim(q)
    job = q.claim(q.worker("q"), queues=["q"])[0] if place == "worker" else None
    return item, job


@pytest.mark.parametrize(
    ("place", "first", "second"),
    [(place, a, b) for place, ends in PLACES.items() for a in sorted(ends) for b in sorted(ends)],
)
def test_exactly_one_of_two_ends_wins(q: Caller, session: Session, place: str, first: str, second: str) -> None:
    item, job = standing(q, place)
    one, two = session(), session()
    later(one, 1000), later(two, 1000)
    with one.connection.transaction():
        assert ENDS[first](one, item, job)
        other = Started(two, lambda q: ENDS[second](q, item, job))
        if second in ("reap", "settle"):
            other.ended()  # leave it to the other
        else:
            other.waits(q)
    other.ended()
    assert (other.error, other.answer) == (None, False)
    nothing_left(q)
    answers = {"ack": "ack", "ack by key": "ack", "settle": "settled"}
    assert result(q) == (None if second == "truncate" else answers.get(first)), "which forgets results"
    assert q.sql("select count(*) from pgqueue.outcome") == [(1,)]


@pytest.mark.parametrize("first", sorted(PLACES["worker"]))
def test_an_end_that_is_rolled_back_was_none(q: Caller, session: Session, first: str) -> None:
    item, job = standing(q, "worker")
    one, two = session(), session()
    later(one, 1000)
    with one.connection.transaction(force_rollback=True):
        assert ENDS[first](one, item, job)
        other = Started(two, lambda q: ack(q, item, "mine")).waits(q)
    assert other.ended().answer is True
    assert result(q) == "mine"
    nothing_left(q)


@pytest.mark.parametrize("act", ["heartbeat", "merge"])
def test_a_sign_of_life_beside_a_reaper(q: Caller, session: Session, act: str) -> None:
    """What came first is seen: an item that beats is left, and its reaper waits for nobody."""
    item = running(q)
    one, two = session(), session()
    later(one, 1000), later(two, 1000)
    with one.connection.transaction():
        one("keyed_heartbeat", id=item) if act == "heartbeat" else one("keyed_merge_extra", id=item, extra="{}")
        with impatient(two):
            assert two("keyed_reap", queue="q", heartbeat_ms=900_000) == []
    assert len(two("keyed_reap", queue="q", heartbeat_ms=900_000)) == (act == "merge")


def test_two_reapers_share(q: Caller, session: Session) -> None:
    for n in range(20):
        added(q, f"k{n}", orphan_ms=0)
    one, two = session(), session()
    later(one, 1000), later(two, 1000)
    with one.connection.transaction():
        first = one("keyed_reap", queue="q", orphan_ms=0, max=8)
        with impatient(two):
            second = two("keyed_reap", queue="q", orphan_ms=0)
    assert (len(first), len(second)) == (8, 12)
    nothing_left(q)


@pytest.mark.parametrize("end", ["cancel", "ack"])
def test_an_end_waits_for_a_claim_in_progress(q: Caller, session: Session, end: str) -> None:
    item = added(q)
    one, two = session(), session()
    with one.connection.transaction():
        claim(one)
        other = Started(two, lambda q: ENDS[end](q, item, None)).waits(q)
    assert other.ended().answer is True
    nothing_left(q)
    assert q.sql(ASTRAY) == []


def test_merges_at_once_lose_nothing(q: Caller, session: Session) -> None:
    item = running(q)
    sessions = [session() for _ in range(4)]

    def work(n: int) -> None:
        for turn in range(10):
            assert sessions[n].value("keyed_merge_extra", id=item, extra=f'{{"m{n}.{turn}":{turn}}}')

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert q.sql("select count(*) from pgqueue.keyed_item i, json_each(i.extra::json)") == [(40,)]


def test_one_reader_has_the_result_of_a_key(q: Caller, session: Session) -> None:
    ended(q)
    sessions = [session() for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(result, sessions))
    assert sorted(filter(None, found)) == ['{"result":1}']

"""Keyed queues: one item a key, added by many, claimed by one. The specification's section 12, up to the ack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.sql.calls import Caller
from tests.sql.keyed import ACTIVE, ack, add, added, by_id, cancel, claim, ended, keys, lapsed, run, running, state
from tests.sql.support import contents, refused

Session = Callable[[], Caller]

# Add and order


def test_first_add_and_again(q: Caller) -> None:
    first = add(q, payload="one")
    assert (first["created"], first["pending"]) == (True, 1)
    again = add(q, payload="two", priority=-5)
    assert again == {"id": first["id"], "created": False, "pending": 1}
    (item,) = q("keyed_list", queue="q")
    assert (item["payload"], item["priority"], item["id"]) == ("one", 0, first["id"])


def test_many_adds_of_one_key_at_once_make_one_item(q: Caller, session: Session) -> None:
    from concurrent.futures import ThreadPoolExecutor

    sessions = [session() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda s: [add(s, f"k{n}") for n in range(10)], sessions))
    for n in range(10):
        of_key = [answers[n] for answers in found]
        assert len({row["id"] for row in of_key}) == 1
        assert sum(row["created"] for row in of_key) == 1


def test_priorities_list_highest_first_and_equal_ones_oldest_first(q: Caller) -> None:
    for priority in (1, 10, 100, 50, -1):
        add(q, f"p{priority}", priority=priority)
    add(q, "p50 again", priority=50)
    expected = ["p100", "p50", "p50 again", "p10", "p1", "p-1"]
    assert keys(q) == expected == keys(q, "keyed_pending") == keys(q, "keyed_list")
    assert [q.one("keyed_claim_next", queue="q")["key"] for _ in expected] == expected


@pytest.mark.parametrize("priority", [-32768, 32767])
def test_any_priority_of_the_core(q: Caller, priority: int) -> None:
    add(q, priority=priority)
    assert q.one("keyed_pending", queue="q")["priority"] == priority


def test_duplicate_add_of_an_active_key(q: Caller) -> None:
    item = running(q)
    assert add(q) == {"id": item, "created": False, "pending": 0}
    assert state(q, item) == "active"


QUEUES = ["p", "p:x", "p:x:", "p_", "pX", "p%", "P", "p:X", "p x", "p#", "l" * 300, "l" * 299 + "m", "l" * 1000]


def test_the_same_key_in_another_queue_is_another_item(q: Caller) -> None:
    items = {queue: added(q, "k", queue) for queue in QUEUES}
    assert len(set(items.values())) == len(QUEUES)
    for queue, item in items.items():
        assert [row["id"] for row in q("keyed_list", queue=queue)] == [item]
        assert claim(q, "k", queue)["id"] == item
        assert q.one("keyed_get", queue=queue, key="k")["id"] == item
    for queue, item in items.items():
        assert q.value("keyed_ack", queue=queue, key="k", result=queue)
        assert q("keyed_result", queue=queue, key="k") == [{"id": item, "payload": queue, "state": "succeeded"}]


def test_external_and_process_ids(q: Caller) -> None:
    with refused(q, "PQ001", "external_id", "49"):
        add(q, external_id="e" * 49)
    with refused(q, "PQ001", "process_id", "97"):
        add(q, process_id="p" * 97)
    assert added(q, "a", external_id="e" * 48, process_id="p" * 96) != added(q, "b", external_id="e" * 48)
    for key in "cde":
        added(q, key)


# Claim


def test_claim_with_a_free_slot(q: Caller) -> None:
    item = added(q, payload="what")
    added(q, "other")
    assert claim(q) == {"id": item, "payload": "what", "extra": None, "pending": 1, "active": ["k"], "refused": None}
    assert q.sql("select heartbeat_at is not null from pgqueue.keyed_item where job_id = %s", item) == [(True,)]
    assert keys(q, "keyed_active") == ["k"]
    assert keys(q, "keyed_pending") == ["other"]


def test_budget(q: Caller) -> None:
    first, second = added(q, "a"), added(q, "b")
    assert claim(q, "a")["id"] == first
    before = contents(q)
    assert claim(q, "b") == {
        "id": None,
        "payload": None,
        "extra": None,
        "pending": 1,
        "active": ["a"],
        "refused": "budget",
    }
    assert contents(q) == before
    found = claim(q, "b", concurrency=2)
    assert (found["id"], found["active"], found["pending"]) == (second, ["a", "b"], 0)


@pytest.mark.parametrize("concurrency", [0, 1, 5, None])
def test_claims_that_are_refused_without_an_error(q: Caller, concurrency: int | None) -> None:
    old = ended(q, "old")
    new = added(q, "old")
    item = running(q)
    room = concurrency is None or concurrency > 1
    before = contents(q)
    assert claim(q, "unknown", concurrency=concurrency)["refused"] == ("unknown" if room else "budget")
    assert claim(q, "k", concurrency=concurrency)["refused"] == ("active" if room else "budget")
    assert claim(q, "old", concurrency=concurrency, id=old)["refused"] == ("unknown" if room else "budget")
    assert claim(q, "k", concurrency=concurrency, id=new)["refused"] == ("unknown" if room else "budget")
    assert claim(q, None, "other", concurrency, id=new)["refused"] == ("budget" if concurrency == 0 else "unknown")
    assert contents(q) == before
    assert (state(q, item), state(q, new)) == ("active", "pending")


def test_claim_by_id_alone(q: Caller) -> None:
    item = added(q)
    assert claim(q, None, id=item)["payload"] == "{}"


def test_claim_next(q: Caller) -> None:
    for n in range(5):
        add(q, f"k{n}", payload=f"p{n}")
    rows = q("keyed_claim_next", queue="q", concurrency=3, n=10)
    assert [(row["key"], row["payload"]) for row in rows] == [(f"k{n}", f"p{n}") for n in range(3)]
    assert {(row["pending"], tuple(row["active"])) for row in rows} == {(2, ("k0", "k1", "k2"))}
    assert q("keyed_claim_next", queue="q", concurrency=3) == []
    assert len(q("keyed_claim_next", queue="q", n=10)) == 2


def test_claim_next_finds_what_came_back_and_what_was_committed_late(q: Caller, session: Session) -> None:
    late = session()
    with late.connection.transaction():
        added(late, "late")
        running(q, "stalled")
        added(q, "next")
        assert keys(q, "keyed_claim_next") == ["next"]
        q("keyed_reap", queue="q", heartbeat_ms=-0, release=True)
    added(q, "young")
    assert set(keys(q, "keyed_claim_next", n=1)) == {"late"}
    assert {row["why"] for row in q("keyed_reap", queue="q", heartbeat_ms=0, release=True)} == {"stalled"}
    assert len(keys(q, "keyed_claim_next", n=10)) == 4


def test_exclusive(q: Caller) -> None:
    with refused(q, "PQ001", "exclusive"):
        add(q, exclusive=True)
    item = added(q, exclusive=True, process_id="one")
    for other in ({}, {"process_id": "two"}):
        for function in ("keyed_keys", "keyed_list", "keyed_pending"):
            assert q(function, queue="q", **other) == []
        assert claim(q, **other)["refused"] == "exclusive"
        assert q("keyed_claim_next", queue="q", **other) == []
        assert run(q, **other, concurrency=5)["payload"] is None
    assert keys(q, process_id="one") == ["k"] == keys(q, "keyed_pending", process_id="one")
    assert lapsed(q, orphan_ms=0) == ["k"], "foreign to_cancel still returns it"
    assert q.claim(q.worker("q"), queues=["q"]) == []
    assert claim(q, process_id="one")["id"] == item
    assert keys(q, "keyed_active") == [] != keys(q, "keyed_active", process_id="one")
    assert lapsed(q, "keyed_stalled", heartbeat_ms=0) == ["k"]
    assert ack(q, item)


def test_claim_next_by_the_owner_takes_its_own_in_order(q: Caller) -> None:
    for n, who in enumerate(["one", None, "two", "one"]):
        add(q, f"k{n}", exclusive=who is not None, process_id=who, priority=10 * (n == 3))
    assert keys(q, "keyed_claim_next", n=9, process_id="one") == ["k3", "k0", "k1"]
    assert keys(q, "keyed_claim_next", n=9, process_id="two") == ["k2"]


# Fast track


def test_fast_track_claims_on_an_idle_queue(q: Caller) -> None:
    found = run(q, payload="what", concurrency=2)
    assert {**found, "id": 0} == {
        "id": 0,
        "created": True,
        "pending": 0,
        "active": ["k"],
        "payload": "what",
        "extra": None,
    }
    assert state(q, found["id"]) == "active"
    assert ack(q, found["id"])


def test_fast_track_not_when_active_and_pending_fill_the_budget(q: Caller) -> None:
    added(q, "waits")
    running(q, "runs")
    found = run(q, concurrency=2)
    assert (found["created"], found["payload"], found["pending"], found["active"]) == (True, None, 2, ["runs"])
    assert state(q, found["id"]) == "pending"
    assert run(q, "third", concurrency=4)["payload"] == "{}"


def test_fast_track_not_twice(q: Caller) -> None:
    first = run(q, concurrency=5)
    again = run(q, concurrency=5)
    assert (again["id"], again["created"], again["payload"], again["active"]) == (first["id"], False, None, ["k"])


def test_fast_track_may_claim_an_item_already_pending(q: Caller) -> None:
    item = added(q, payload="first")
    q("keyed_merge_extra", id=item, extra='{"a":1}')
    found = run(q, payload="second", concurrency=1)
    assert (found["id"], found["created"], found["payload"], found["extra"]) == (item, False, "first", '{"a":1}')
    assert q.sql(ACTIVE, "q") == [(1,)]


def test_fast_track_of_an_exclusive_item(q: Caller) -> None:
    assert run(q, exclusive=True, process_id="one", concurrency=1)["payload"] == "{}"
    assert run(q, "b", concurrency=1)["payload"] is None, "it has the place of its queue"


# Extra, heartbeat, cancel


def test_extra(q: Caller) -> None:
    item = added(q)
    assert q.one("keyed_get", id=item)["extra"] is None
    assert q.value("keyed_merge_extra", id=item, extra='{"a": 1, "b": [1.50, 1e400]}')
    assert q.value("keyed_merge_extra", queue="q", key="k", extra='{"b":"2","c":null}')
    merged = '{"a":1,"b":"2","c":null}'
    assert q.one("keyed_get", queue="q", key="k")["extra"] == merged
    for function in ("keyed_list", "keyed_keys", "keyed_pending"):
        assert q.one(function, queue="q")["extra"] == merged
    assert claim(q)["extra"] == merged
    assert q.one("keyed_active", queue="q")["extra"] == merged
    found = cancel(q, item)
    assert found == {"id": item, "payload": "{}", "extra": merged, "status": "active", "key": "k"}
    assert q.value("keyed_merge_extra", id=item, extra="{}") is False
    assert q.value("keyed_merge_extra", queue="q", key="k", extra="{}") is False


def test_json_null_clears_extra(q: Caller) -> None:
    item = added(q)
    for given in ('{"a":1}', " null ", '{"b":1}'):
        assert q.value("keyed_merge_extra", id=item, extra=given)
    assert q.one("keyed_get", id=item)["extra"] == '{"b":1}'


def test_heartbeat(q: Caller) -> None:
    item = added(q)
    beats = "select heartbeat_at from pgqueue.keyed_item"
    assert q.sql(beats) == [(None,)]
    seen = [None]
    for arguments in ({"id": item}, {"queue": "q", "key": "k"}):
        assert q.value("keyed_heartbeat", **arguments) is True
        ((at,),) = q.sql(beats)
        assert at not in seen
        seen.append(at)
    assert q.value("keyed_heartbeat", id=987654321) is False
    assert q.value("keyed_heartbeat", queue="q", key="unknown") is False


@pytest.mark.parametrize("active", [True, False])
def test_cancel_returns_the_definition_once(q: Caller, active: bool) -> None:
    item = running(q, payload="what") if active else added(q, payload="what")
    status = "active" if active else "pending"
    expected = {"id": item, "payload": "what", "extra": None, "status": status, "key": "k"}
    assert q("keyed_cancel", queue="q", key="k") == [expected]
    assert q("keyed_cancel", queue="q", key="k") == q("keyed_cancel", id=item) == []
    assert q("keyed_get", id=item) == q("keyed_get", queue="q", key="k") == []
    assert keys(q) == []
    new = added(q)
    assert new != item
    assert claim(q)["id"] == new, "the slot is free"


OLD: dict[str, Callable[[Caller, int], Any]] = {
    "ack": lambda q, old: q.value("keyed_ack", queue="q", key="k", id=old, result="old"),
    "merge": lambda q, old: q.value("keyed_merge_extra", queue="q", key="k", id=old, extra='{"old":1}'),
    "heartbeat": lambda q, old: q.value("keyed_heartbeat", queue="q", key="k", id=old),
    "extend": lambda q, old: q.value("keyed_extend", id=old, orphan_ms=10**6),
    "cancel": lambda q, old: q("keyed_cancel", queue="q", key="k", id=old) != [],
    "get": lambda q, old: q("keyed_get", queue="q", key="k", id=old) != [],
    "claim": lambda q, old: claim(q, id=old, concurrency=9)["refused"] != "unknown",
}


@pytest.mark.parametrize("what", OLD)
@pytest.mark.parametrize("end", ["ack", "cancel"])
@pytest.mark.parametrize("active", [True, False])
def test_an_old_id_leaves_the_new_generation_alone(q: Caller, what: str, end: str, active: bool) -> None:
    old = running(q)
    assert ack(q, old) if end == "ack" else cancel(q, old)
    running(q) if active else added(q)
    before = contents(q)
    assert OLD[what](q, old) is False
    assert contents(q) == before


def test_by_key_means_whatever_holds_it_now(q: Caller) -> None:
    old = ended(q, result="old")
    new = running(q)
    assert q.value("keyed_ack", queue="q", key="k", result="new")
    assert (by_id(q, old), by_id(q, new)) == ("old", "new")

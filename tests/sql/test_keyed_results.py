"""Results of keyed queues, who reads them how often, and how a waiter is told."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.sql.calls import Caller, wait_until
from tests.sql.keyed import (
    ack,
    add,
    added,
    by_id,
    cancel,
    claim,
    ended,
    later,
    nothing_left,
    result,
    run,
    running,
    settle,
    state,
    tidy,
)
from tests.sql.support import pid, refused
from tests.sql.test_batch_locks import Started

Session = Callable[[], Caller]

# Ack and results


def test_ack_true_once_then_false(q: Caller) -> None:
    item = running(q)
    assert ack(q, item)
    assert not ack(q, item)
    assert not ack(q, 987654321)
    assert q.value("keyed_ack", queue="q", key="k", result="x") is False
    assert by_id(q, item) == '{"result":1}'


def test_ack_of_a_pending_item_is_allowed(q: Caller) -> None:
    item = added(q)
    assert ack(q, item, "early")
    assert (result(q), state(q, item)) == ("early", "succeeded")
    nothing_left(q)


def test_result_by_path_once_then_nothing_and_by_id_still(q: Caller) -> None:
    item = ended(q)
    assert result(q) == '{"result":1}'
    assert result(q) is None
    assert [by_id(q, item) for _ in range(3)] == ['{"result":1}'] * 3


def test_a_read_by_path_after_reads_by_id(q: Caller) -> None:
    item = ended(q)
    assert [by_id(q, item, hide=False) for _ in range(2)] == ['{"result":1}'] * 2
    assert result(q) == '{"result":1}', "once for RESULT"
    again = ended(q)
    assert by_id(q, again) == '{"result":1}'
    assert result(q) is None, "none after a blocking read"


def test_path_used_four_times(q: Caller) -> None:
    items = []
    for n in range(4):
        items.append(running(q))
        assert result(q) is None, "never the previous one"
        assert ack(q, items[-1], f"run {n}")
        assert by_id(q, items[-1]) == f"run {n}"
    assert [by_id(q, item) for item in items] == [f"run {n}" for n in range(4)]


def test_older_unread_results_are_not_tried(q: Caller) -> None:
    ended(q, result="old")
    item = ended(q, result="new")
    assert by_id(q, item) == "new"
    assert result(q) is None


def test_external_id_reads_many(q: Caller) -> None:
    item = ended(q, external_id="one")
    assert [result(q, external_id="one") for _ in range(2)] == ['{"result":1}'] * 2
    assert result(q) == '{"result":1}'
    assert [result(q, external_id="one") for _ in range(2)] == ['{"result":1}'] * 2, "also after a path read"
    assert result(q) is None
    assert result(q, external_id="unknown") is None, "path rule"
    assert by_id(q, item, external_id="one") == '{"result":1}'


def test_unknown_external_id_path_rule(q: Caller) -> None:
    ended(q, external_id="one")
    assert result(q, external_id="unknown") == '{"result":1}'
    assert result(q, external_id="unknown") is None


def test_wrong_external_id_with_an_id(q: Caller) -> None:
    item = ended(q, external_id="one")
    with refused(q, "PQ001", "two"):
        by_id(q, item, external_id="two")
    assert by_id(q, 987654321, external_id="two") is None


def test_external_ids_of_all_who_joined_are_remembered(q: Caller) -> None:
    """Several external-id clients that all got 'Continue wait' all get the result of one execution."""
    item = run(q, external_id="first", concurrency=1)["id"]
    for who in ("second", "third"):
        assert add(q, external_id=who)["id"] == item
    assert run(q, external_id="fourth", concurrency=1)["payload"] is None
    assert ack(q, item, "answer")
    for who in ("first", "second", "third", "fourth") * 2:
        assert result(q, external_id=who) == "answer"
        assert by_id(q, item, external_id=who) == "answer"


def test_one_client_looping_over_spans(q: Caller) -> None:
    """One execution, and a second read works."""
    item = add(q, external_id="request")["id"]
    for _ in range(5):
        assert result(q, external_id="request") is None
        assert not add(q, external_id="request")["created"]
    assert q.sql("select count(*) from pgqueue.keyed_request") == [(1,)], "a poller leaves no row for each poll"
    claim(q)
    assert ack(q, item, "answer")
    assert [result(q, external_id="request") for _ in range(2)] == ["answer"] * 2


@pytest.mark.parametrize("read", [True, False])
def test_a_result_older_than_five_minutes_is_gone_by_every_route(q: Caller, read: bool) -> None:
    item = ended(q, external_id="one")
    if read:
        assert result(q) is not None
    later(q, 290)
    assert by_id(q, item, hide=False) is not None
    later(q, 301)
    assert by_id(q, item) is None
    assert result(q) is None
    assert result(q, external_id="one") is None
    q.clock("")
    tidy(q)
    assert q.sql("select count(*) from pgqueue.keyed_result") == [(0,)]
    assert q.sql("select count(*) from pgqueue.keyed_request") == [(0,)]


def test_lifetimes_of_results(q: Caller) -> None:
    q("configure", settings={"keyed_ttl": 60})
    short, long = ended(q, "short"), running(q, "long")
    assert ack(q, long, "x", ttl="1 hour")
    later(q, 61)
    assert (by_id(q, short), by_id(q, long)) == (None, "x")
    again = running(q, "again")
    assert ack(q, again, "y")
    assert by_id(q, again) == "y"


def test_ack_with_null(q: Caller, session: Session) -> None:
    item = running(q, external_id="one")
    waiter = waiting(session(), item)
    assert ack(q, item, None)
    assert told(waiter) == [item]
    assert by_id(q, item) is None
    assert result(q) is None
    assert state(q, item) == "succeeded"
    nothing_left(q)
    tidy(q)
    assert q.sql("select count(*) from pgqueue.keyed_request") == [(0,)]


TEXTS = {
    "1 MiB": '{"a":"' + "x" * 2**20 + '"}',
    "nul": r'{"a":"\u0000","\u0000":"\ud800"}',
    "numbers": '{"a":123456789012345678901234567890.10, "a": -0.0, "b":1e400, "c": 1E-400}',
    "spaces": ' {\n\t"b":1,"a" : 2 }\r\n ',
    "no JSON": "'; drop table pgqueue.job; -- \\ $1 %s 🐘",
    "empty": "",
}


@pytest.mark.parametrize("what", TEXTS)
def test_texts_come_back_unchanged(q: Caller, what: str) -> None:
    text = TEXTS[what]
    item = added(q, payload=text)
    assert q.one("keyed_get", id=item)["payload"] == text
    assert q.one("keyed_list", queue="q")["payload"] == text
    assert claim(q)["payload"] == text
    answer = text * 4
    assert ack(q, item, answer)
    assert by_id(q, item, hide=False) == answer
    assert result(q) == answer
    assert run(q, "next", payload=text)["payload"] == text
    found = q("keyed_cancel", queue="q", key="next")
    assert found[0]["payload"] == text


EXTRAS = [
    r'{"a":"\u0000\ud800 \u00e9 \\u0000 \\\u0000"}',
    r'{"a":"\\u0000"}',
    '{"n":123456789012345678901234567890.10,"e":1e400,"deep":{"a":[1.0, null]}}',
    '{"🐘":"\\ud83d\\udc18"}',
]


@pytest.mark.parametrize("extra", EXTRAS)
def test_extra_keeps_what_it_was_given(q: Caller, extra: str) -> None:
    item = added(q)
    q("keyed_merge_extra", id=item, extra=extra)
    q("keyed_merge_extra", id=item, extra='{"more":1}')
    assert q.one("keyed_get", id=item)["extra"] == extra[:-1] + ',"more":1}'


@pytest.mark.parametrize("more", [r'{"\u0000":1}', r'{"a":"\u0000 ~u~"}'])
def test_extra_that_cannot_be_merged(q: Caller, more: str) -> None:
    """First it is stored as it is given."""
    item = added(q)
    assert q.value("keyed_merge_extra", id=item, extra=more)
    with refused(q, "PQ001", "extra"):
        q("keyed_merge_extra", id=item, extra="{}")
    assert q.value("keyed_merge_extra", id=item, extra="null")


# Reuse: what finished between the look for a result and the add is as good


def test_reuse_takes_a_result_nobody_has_read(q: Caller) -> None:
    item = ended(q)
    for call in (add, run):
        found = call(q, reuse=True)
        assert (found["id"], found["created"], found["pending"]) == (item, False, 0)
    assert by_id(q, item) == '{"result":1}'
    new = add(q, reuse=True)
    assert new["created"] and new["id"] != item
    other = ended(q, "other")
    later(q, 301)
    assert add(q, "other", reuse=True)["id"] != other


def test_without_reuse_it_runs_again(q: Caller) -> None:
    item = ended(q)
    assert added(q) != item


# Waiting


def waiting(waiter: Caller, *items: int) -> Caller:
    waiter.connection.execute("listen pgqueue_done")
    waiter("watch", jobs=list(items))
    return waiter


def told(waiter: Caller, count: int = 1) -> list[int]:
    """The ids in the notifications that have come."""
    found = waiter.connection.notifies(timeout=10, stop_after=count)
    return [int(notification.payload) for notification in found]


def test_waiters_blocked_before_the_ack_all_get_it(q: Caller, session: Session) -> None:
    item = running(q)
    waiters = [waiting(session(), item) for _ in range(3)]
    assert ack(q, item, "answer")
    for waiter in waiters:
        assert told(waiter) == [item]
        assert by_id(waiter, item) == "answer"
    assert result(q) is None


@pytest.mark.parametrize("active", [True, False])
def test_cancel_wakes_the_waiter(q: Caller, session: Session, active: bool) -> None:
    item = running(q) if active else added(q)
    waiter = waiting(session(), item)
    assert cancel(q, item)
    assert told(waiter) == [item]
    assert (by_id(waiter, item), state(waiter, item)) == (None, "cancelled")
    assert waiter("watch", jobs=[item]) == [{"job_id": item, "state": "cancelled"}], "later waiters return at once"
    assert q.sql("call pgqueue.keyed_wait(%s)", item) == [(None, "cancelled")]


def test_a_result_stored_around_the_subscribe_is_never_missed(q: Caller, session: Session) -> None:
    waiter, answerer = session(), session()
    waiter.connection.execute("listen pgqueue_done")
    for turn in range(25):
        item = running(q, f"k{turn}")
        start = threading.Barrier(2)

        def answer(item: int = item, start: threading.Barrier = start) -> None:
            start.wait(10)
            assert ack(answerer, item, "answer")

        thread = threading.Thread(target=answer)
        thread.start()
        if turn % 3 != 1:
            start.wait(10)
        waiter("watch", jobs=[item])
        if turn % 3 == 1:
            start.wait(10)
        if state(waiter, item) == "active":
            while item not in told(waiter):
                pass
        assert by_id(waiter, item) == "answer"
        thread.join()


@pytest.mark.parametrize("end", ["ack", "cancel", "settle", "rolled back"])
def test_an_end_that_has_not_seen_the_waiter_is_let_finish(q: Caller, session: Session, end: str) -> None:
    """It looked for waiters before there was one, and will not notify."""
    item = added(q)
    (job,) = q.claim(q.worker("q"), queues=["q"])
    waiter, ender, looker = session(), session(), session()
    with ender.connection.transaction(force_rollback=end == "rolled back"):
        if end == "cancel":
            assert cancel(ender, item)
        elif end == "settle":
            assert settle(ender, job, answer="answer") == []
        else:
            assert ack(ender, item, "answer")
        waiting(waiter, item)
        looks = Started(looker, lambda q: state(q, item))
        wait_until(lambda: asleep(q, looker), "it waits for the end")
    ended_as = {"cancel": "cancelled", "rolled back": "active"}.get(end, "succeeded")
    assert looks.ended().answer == ended_as
    assert by_id(waiter, item) == (None if end in ("cancel", "rolled back") else "answer")


def asleep(observer: Caller, q: Caller) -> bool:
    ((event,),) = observer.sql("select wait_event from pg_stat_activity where pid = %s", pid(q))
    return bool(event == "PgSleep")


def test_a_look_waits_a_second_at_most(q: Caller, session: Session) -> None:
    item, other = running(q), session()
    with other.connection.transaction():
        assert ack(other, item)
        assert state(q, item) == "active"
        assert by_id(q, item) is None
    assert by_id(q, item) is not None


def test_keyed_wait(q: Caller) -> None:
    item = running(q)
    assert q.sql("call pgqueue.keyed_wait(%s, '10 ms')", item) == [(None, "active")]
    waits = added(q, "b")
    assert q.sql("call pgqueue.keyed_wait(%s, '0')", waits) == [(None, "pending")]
    assert ack(q, item, "answer")
    assert q.sql("call pgqueue.keyed_wait(%s)", item) == [("answer", "succeeded")]
    assert q.sql("call pgqueue.keyed_wait(%s, '1 minute', 'x', 'y')", 987654321) == [(None, "gone")]
    assert result(q) is None, "it was a blocking read"


def test_whoever_executes_a_cancelled_item_is_told(q: Caller, session: Session) -> None:
    client = session()
    client.connection.execute("listen pgqueue_keyed")
    item = running(q)
    assert cancel(q, item)
    assert told(client) == [item]
    assert client.value("keyed_heartbeat", id=item) is False
    assert not ack(client, item)
    waits = added(q)
    assert cancel(q, waits)
    assert cancel(q, running(q, "last"))
    assert waits not in told(client), "nobody executed it"

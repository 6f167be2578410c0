"""A million jobs that wait for one, and one that waits for a million: every step is bounded, none grows with them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.sql.calls import Caller

MILLION = 1_000_000

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


class Watch:
    """How long calls of each kind took: the sum, the longest, and how many."""

    def __init__(self) -> None:
        self.took: dict[str, list[float]] = {}

    def __call__(self, name: str, call: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        answer = call()
        self.took.setdefault(name, []).append(time.perf_counter() - began)
        return answer

    def report(self) -> None:
        for name, took in self.took.items():
            print(f"{name}: {len(took)} calls, {sum(took):.1f} s, longest {max(took) * 1000:.0f} ms")


def enqueue_million(q: Caller, watch: Watch, **options: Any) -> list[int]:
    ids: list[int] = []
    for _ in range(MILLION // 10_000):
        made = watch("enqueue 10,000", lambda: q("enqueue_each", kind="m", args=[{}] * 10_000, **options))
        ids += [row["id"] for row in made]
    return ids


def release(q: Caller, watch: Watch) -> None:
    while q.value("next_due") is not None:
        ((done,),) = watch("pass", lambda: [(row["error"],) for row in q("maintain", duties=["dependents"])])
        assert done is None


def test_a_million_dependents(q: Caller) -> None:
    watch, worker = Watch(), q.worker("parent")
    parent = q.enqueue(queue="parent")
    enqueue_million(q, watch, depends_on=[parent])
    q("maintain", duties=["blocks", "dependents"])
    watch("settle", lambda: q.settle(q.claim(worker, queues=["parent"])))
    release(q, watch)
    watch.report()
    assert q.sql("select count(*) from pgqueue.ready") == [(MILLION,)]
    assert q.sql("select count(*) from pgqueue.dependent") == [(0,)]
    assert max(watch.took["settle"]) < 2
    assert max(watch.took["pass"]) < 5


def test_a_million_parents(q: Caller) -> None:
    watch, worker = Watch(), q.worker()
    with q.connection.transaction():
        members = enqueue_million(q, watch)
        last = watch("enqueue the last", lambda: q.enqueue(queue="last", depends_on=members))
    for n in range(MILLION // 10_000):
        taken = watch("claim 10,000", lambda: q.claim(worker, 10_000))
        watch("settle 10,000", lambda: q.settle(taken))  # noqa: B023
        if n % 10 == 9:
            release(q, watch)
    release(q, watch)
    status = watch("group_status", lambda: q.one("group_status", id=last))
    watch.report()
    assert status == {"total": MILLION, "pending": 0, "succeeded": MILLION, "failed": 0, "cancelled": 0}
    assert q.state(last) == "queued"
    assert max(watch.took["pass"]) < 5

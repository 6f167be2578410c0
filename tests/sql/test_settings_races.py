"""Settings that change, and jobs that are cancelled, while other sessions have claims and transactions open: nothing
stays behind, and nobody waits for one who has not made up his mind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.sql.calls import Caller

NOON = "2030-01-01 12:00:00+00"


def ask(q: Caller, n: int, owner: str = "ada") -> int:
    return int(q.one("submit_query", sql=f"select {n}", owner=owner)["id"])


def taken(q: Caller, n: int = 10, queue: str = "queries") -> list[int]:
    return [job["id"] for job in q.claim(q.worker(queue), n, [queue])]


def test_a_shorter_period_wakes_owners_that_sleep(q: Caller) -> None:
    q.clock(NOON)
    q("configure_queue", queue="queries", settings={"group_rate_limit": 1, "group_rate_period": 3600})
    first, second = ask(q, 1), ask(q, 2)
    assert taken(q) == [first]
    q("configure_queue", queue="queries", settings={"group_rate_period": 1})
    q.clock("2030-01-01 12:00:05+00")
    assert taken(q) == [second]


def test_an_owner_wakes_although_a_change_was_rolled_back(q: Caller, session: Callable[[], Caller]) -> None:
    q.clock(NOON)
    q("configure_queue", queue="queries", settings={"group_rate_limit": 1, "group_rate_period": 60})
    first, second = ask(q, 1), ask(q, 2)
    assert taken(q) == [first]
    operator = session()
    operator.sql("begin")
    operator("configure_queue", queue="queries", settings={"group_rate_limit": 5})
    q.clock("2030-01-01 12:02:00+00")
    q("maintain", duties=["promote"])
    assert taken(q) == []
    operator.sql("rollback")
    q.clock("2030-01-01 12:02:02+00")
    q("maintain", duties=["promote"])
    assert taken(q) == [second]


@pytest.mark.parametrize("settings", [{}, {"group_limit": 1}, {"group_rate_limit": 10}], ids=str)
@pytest.mark.parametrize("function", ["cancel", "set_priority"])
def test_whose_next_job_is_locked_keeps_no_turns_of_others(
    q: Caller, session: Callable[[], Caller], function: str, settings: dict[str, Any]
) -> None:
    q("configure_queue", queue="queries", settings=settings)
    locked = [ask(q, n, f"owner {n}") for n in range(6)]
    q("pause_queue", queue="queries")
    assert taken(q) == []
    q("resume_queue", queue="queries")
    (first,) = taken(q, 1)  # and the others stand in line
    assert first == locked.pop(0)
    operator = session()
    operator.sql("begin")
    for job in locked:
        operator(function, id=job, **({"priority": 9} if function == "set_priority" else {}))
    free = [ask(q, 10 + n, f"other {n}") for n in range(2)]
    assert taken(q, 1) + taken(q, 1) == free
    operator.sql("rollback")
    assert taken(q) == locked


@pytest.mark.parametrize("of_the_group", [False, True])
def test_a_limit_taken_away_while_a_claim_goes_by_it(
    q: Caller, session: Callable[[], Caller], of_the_group: bool
) -> None:
    def limit(most: int | None) -> None:
        if of_the_group:
            q("configure_group", queue="default", group_key="g", settings={"group_limit": most})
        else:
            q("configure_queue", queue="default", settings={"group_limit": most})

    limit(1)
    first, second = (q.enqueue(group_key="g") for _ in range(2))
    other = session()
    worker = q.worker()
    other.sql("begin")
    jobs = other.claim(worker)
    assert [job["id"] for job in jobs] == [first]
    limit(None)
    other.sql("commit")
    q.settle(jobs)
    assert q.places() == {"blocked": 1}
    q("maintain", duties=["admit"])
    assert taken(q, queue="default") == [second]


def test_block_taken_away_while_a_job_fails(q: Caller, session: Callable[[], Caller]) -> None:
    q("configure_queue", queue="default", settings={"group_limit": 1, "group_failure": "block"})
    _, second = (q.enqueue(group_key="g", max_attempts=1) for _ in range(2))
    jobs = q.claim(q.worker())
    other = session()
    other.sql("begin")
    other.settle(jobs, "failed")
    q("configure_queue", queue="default", settings={"group_failure": "release"})
    other.sql("commit")
    q("maintain", duties=["admit"])
    assert taken(q, queue="default") == [second]


@pytest.mark.parametrize("of_the_owner", [False, True])
def test_a_rate_taken_away_while_a_claim_goes_by_it(
    q: Caller, session: Callable[[], Caller], of_the_owner: bool
) -> None:
    def rate(limit: int | None, period: int | None) -> None:
        if of_the_owner:
            settings = {"rate_limit": limit, "rate_period": period}
            q("configure_group", queue="queries", group_key="ada", settings=settings)
        else:
            settings = {"group_rate_limit": limit, "group_rate_period": period}
            q("configure_queue", queue="queries", settings=settings)

    q.clock(NOON)
    rate(1, 60)
    first, second = ask(q, 1), ask(q, 2)
    other = session()
    other.clock(NOON)
    other.sql("begin")
    assert taken(other) == [first]
    rate(None, None)
    other.sql("commit")
    q.clock("2030-01-01 12:02:00+00")
    q("maintain", duties=["promote"])
    assert taken(q) == [second]

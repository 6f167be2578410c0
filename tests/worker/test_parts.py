"""The parts that need no server."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from pgqueue._calls import Calls
from pgqueue.errors import InvalidArgument
from pgqueue.outcomes import Settlement
from pgqueue.worker import Settings
from pgqueue.worker.backoff import Backoff
from pgqueue.worker.events import Event, Teller
from pgqueue.worker.hands import Group, Hands
from pgqueue.worker.job import Job
from pgqueue.worker.link import connection_string
from pgqueue.worker.logs import JsonFormatter, PlainFormatter
from pgqueue.worker.plan import Plan
from pgqueue.worker.upkeep import Upkeep
from pgqueue.worker.wire import Wire, texts


def job(id: int, lease: int = 1) -> Job:
    return Job((lease, id, "default", "kind", "\x01{}", 1, 5, None, None, 0))


def hands_with(jobs: list[Job], slots: int = 10) -> tuple[Hands, Group]:
    hands = Hands(slots, horizon=0.05, most=1000)
    group = Group(["default"], "{default}", None)
    hands.take(jobs, group)
    return hands, group


# -- how much to ask for ----------------------------------------------------------------------------------------------


def test_at_first_only_the_free_slots() -> None:
    hands = Hands(10, horizon=0.05, most=1000)
    assert hands.want(Group(["default"], "{default}", None)) == 10


def test_quick_jobs_are_asked_for_ahead_slow_ones_are_not() -> None:
    hands, group = hands_with([job(id) for id in range(10)])
    for j in list(hands.ready):
        hands.end(j, Settlement("succeeded"))
    hands.ready.clear()
    hands.collect(500)
    assert hands.want(group) > 10, "ten jobs in no time"
    assert hands.want(group) <= 50, "grows at most fourfold"

    slow = [job(id, lease=2) for id in range(10, 20)]
    hands.take(slow, group)
    for j in slow:
        hands.end(j, Settlement("succeeded"))
    hands.run_time += 10 * 1.0  # each took a second
    hands.collect(500)
    assert hands.want(group) == 10


def test_expected_and_unfinished_jobs_count() -> None:
    hands, group = hands_with([job(1), job(2)])
    hands.expected += 3
    assert hands.want(group) == 5


def test_a_limited_group_counts_its_own() -> None:
    hands = Hands(10, horizon=0.05, most=1000)
    group = Group(["default"], "{default}", 2)
    hands.limit(group)
    assert hands.want(group) == 2
    hands.take([job(1), job(2)], group)
    assert hands.want(group) == 0
    hands.end(hands.ready.popleft(), Settlement("succeeded"))
    batch = hands.collect(10)
    assert hands.want(group) == 1
    hands.put_back(batch)
    assert hands.want(group) == 0


# -- settlements ------------------------------------------------------------------------------------------------------


def test_a_lease_with_many_jobs_travels_alone_and_in_order() -> None:
    first, second = [job(id) for id in range(200)], [job(id, lease=2) for id in range(200, 400)]
    hands, group = hands_with(first)
    hands.take(second, group)
    for j in reversed(first + second):
        hands.end(j, Settlement("succeeded"))
    assert [j.id for j in hands.collect(500)] == list(range(200))


def test_small_leases_travel_together() -> None:
    hands, _ = hands_with([job(id, lease=id) for id in range(20)])
    for j in list(hands.ready):
        hands.end(j, Settlement("succeeded"))
    assert len(hands.collect(500)) == 20


def test_a_lease_is_settled_by_one_statement_at_a_time() -> None:
    hands, _ = hands_with([job(1), job(2), job(3, lease=2)])
    for j in list(hands.ready)[:1]:
        hands.end(j, Settlement("succeeded"))
    batch = hands.collect(10)
    for j in list(hands.ready)[1:]:
        hands.end(j, Settlement("succeeded"))
    assert hands.due() == 1
    assert [j.id for j in hands.collect(10)] == [3]
    hands.settled(batch)
    assert [j.id for j in hands.collect(10)] == [2]


def test_a_job_claimed_again_is_pointed_out() -> None:
    old = job(1)
    hands, group = hands_with([old])
    new = job(1, lease=2)
    assert hands.take([new], group) == [old]
    hands.ready.remove(old)
    hands.abandon(old)
    assert hands.held[1] is new
    assert hands.open == 1


def test_large_results_travel_in_small_batches() -> None:
    jobs = [job(id) for id in range(5)]
    for j in jobs:
        j.settle_as(Settlement("succeeded", result="x" * 1_500_000))  # type: ignore[arg-type]
    assert Wire.fitting(jobs) == 2
    jobs[0].settle_as(Settlement("succeeded", result="x" * 9_000_000))  # type: ignore[arg-type]
    assert Wire.fitting(jobs) == 1
    assert Wire.fitting(jobs[3:]) == 2


def test_what_does_not_fit_into_a_settlement_stays_due() -> None:
    """Also that of leases of which nothing travels: nobody would ever take them up again."""
    hands, group = hands_with([job(1), job(2), job(3, lease=2)])
    for j in list(hands.ready):
        hands.end(j, Settlement("succeeded", result="x" * 3_000_000))  # type: ignore[arg-type]
    plan = Plan(Settings(dsn=""), hands, [group], has_waiting=lambda: False, is_asleep=lambda: False)
    sent = []
    while turn := plan.next(settles=True):
        sent.append([j.id for j in turn.batch])
        hands.settled(turn.batch)
        if len(sent) == 1:
            assert hands.due() == 2
    assert sent == [[1], [2], [3]]


def test_parameters_of_a_settlement() -> None:
    jobs = [job(1), job(2)]
    jobs[0].settle_as(Settlement("succeeded", result='{"a": "b\\\\"}'))  # type: ignore[arg-type]
    jobs[1].settle_as(Settlement("failed", error="{}"))  # type: ignore[arg-type]
    assert Wire.settlement(jobs) == {
        "leases": "{1,1}",
        "jobs": "{1,2}",
        "outcomes": "{succeeded,failed}",
        "results": '{"{\\"a\\": \\"b\\\\\\\\\\"}",NULL}',
        "errors": '{NULL,"{}"}',
        "delays": None,
    }
    assert texts(["", 'a"b', "NULL", None]) == '{"","a\\"b","NULL",NULL}'


# -- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        {"queues": []},
        {"queues": [""]},
        {"queues": ["x" * 201]},
        {"queues": [("a", 0)]},
        {"queues": [("a", True)]},
        {"queues": ["a", ("a", 1)]},
        {"concurrency": 0},
        {"concurrency": 10_001},
        {"concurrency": "10"},
        {"grace": -1},
        {"grace": float("nan")},
        {"poll_interval": 0},
        {"schema": "No Such"},
    ],
)
def test_settings_that_cannot_work(bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        Settings(dsn="", **bad)


def test_what_the_dsn_says_wins() -> None:
    settings = Settings(dsn="connect_timeout=99 options='-c work_mem=1MB'", statement_timeout=7)
    found = connection_string(settings.dsn, settings, "work")
    assert "connect_timeout=99" in found
    assert "work_mem=1MB" in found
    assert "statement_timeout=7000" in found


# -- ending -----------------------------------------------------------------------------------------------------------


class NothingToDo:
    """A link over which every duty finds nothing."""

    connection = "open"

    async def call(self, call: Any) -> Any:
        return None if "next_due" in call.sql else []

    async def close(self) -> None:
        pass


def test_upkeep_that_is_hurried_at_the_moment_it_is_to_stop_stops() -> None:
    """As by the last outcome of a worker that ends: `asyncio.wait_for` of Python 3.11 loses such a cancellation."""

    async def main() -> None:
        link: Any = NothingToDo()
        upkeep = Upkeep(Calls("pgqueue"), link, None, Teller(None), lambda duty: None, pytest.fail)
        upkeep.start()
        for _ in range(5):
            await asyncio.sleep(0)  # until it sleeps
        upkeep.hurry()
        async with asyncio.timeout(5):
            await upkeep.stop()

    asyncio.run(main())


# -- small things -----------------------------------------------------------------------------------------------------


def test_backoff_grows_to_its_end_and_starts_again() -> None:
    backoff = Backoff(first=1, most=8)
    delays = [backoff.delay() for _ in range(6)]
    assert all(low / 2 <= delay <= low for low, delay in zip([1, 2, 4, 8, 8, 8], delays, strict=True))
    backoff.reset()
    assert backoff.delay() <= 1


def test_a_hook_that_raises_is_survived(caplog: pytest.LogCaptureFixture) -> None:
    def hook(event: Event) -> None:
        raise RuntimeError("broken hook")

    Teller(hook)("registered", worker_id=1)
    assert "broken hook" in caplog.text


def record(**extra: Any) -> logging.LogRecord:
    logger = logging.getLogger("pgqueue.test")
    return logger.makeRecord(logger.name, logging.INFO, "file", 1, "job %s", ("failed",), None, extra=extra)


def test_json_lines() -> None:
    line = json.loads(JsonFormatter().format(record(job_id=7, kind="a b", seconds=None, odd={1})))
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "pgqueue.test",
        "message": "job failed",
        "job_id": 7,
        "kind": "a b",
        "odd": "{1}",
    }


def test_plain_lines() -> None:
    line = PlainFormatter().format(record(job_id=7, kind="a b", seconds=0.12345))
    assert line.endswith('info    job failed job_id=7 kind="a b" seconds=0.123')

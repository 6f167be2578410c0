"""No call walks a table that grows, whatever the planner believes of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import psycopg
import pytest

from tests.plans import calls_bulk as calls_bulk  # registers its calls
from tests.plans import calls_flow as calls_flow  # registers its calls
from tests.plans import calls_keyed as calls_keyed
from tests.plans import calls_rows as calls_rows
from tests.plans import calls_unique as calls_unique
from tests.plans import statistics
from tests.plans.calls import CALLS, KNOWN, Call
from tests.plans.explained import PATIENCE, Session, function_in
from tests.plans.population import Population, grow, plant
from tests.plans.rules import PARTITIONED, Breach, Catalogue, Demand, breaches, report
from tests.sql.calls import Caller
from tests.support.cluster import Database, Server, fresh_database

pytestmark = pytest.mark.slow

# What the planner believes, in this order: the first is over once statistics change, and the last changes the tables.
BELIEFS: dict[str, Callable[[Population], None]] = {
    "planned_when_empty": lambda _: None,
    "analysed_when_empty": statistics.analysed_when_empty,
    "never_analysed": statistics.never_analysed,
    "analysed": statistics.analysed,
    "analysed_when_full": statistics.analysed_when_full,
}
SMALL, LARGE = 20_000, 1_000_000
SCENES = [
    (SMALL, "planned_when_empty"),
    *(pytest.param((LARGE, belief), marks=[pytest.mark.slow, pytest.mark.timeout(300)]) for belief in BELIEFS),
]


@dataclass
class Place:
    database: Database
    population: Population
    catalogue: Catalogue
    early: Session
    blocks: list[tuple[int, int]] = field(default_factory=list)

    def partitions(self, ids: list[int] | None) -> frozenset[str] | None:
        """The partitions that hold these jobs, and those between."""
        if not ids:
            return None
        lows = [low for low, high in self.blocks if low <= max(ids) and high > min(ids)]
        return frozenset(f"{table}_{low}" for table in PARTITIONED for low in lows)


def judge(session: Session, call: Call, place: Place) -> list[Breach]:
    """Makes the call as often as it takes for its plans to become generic, and looks at every plan. The early session
    has done so before: its plans are what they will be.
    """
    q = Caller(session.connection)
    for table in call.vacuumed:
        q.sql(f"vacuum pgqueue.{table}")
    for _ in range(1 if session is place.early else call.repeats):
        try:
            with session.connection.transaction(force_rollback=True), session.explained() as statements:
                ids = call.make(q, place.population)
        except psycopg.errors.QueryCanceled as late:
            context = late.diag.context or ""
            return [Breach(function_in(context), context, None, f"takes longer than {PATIENCE} s")]
        demand = call.demand(place.partitions(None if ids is None else list(ids)))
        found = breaches(statements, demand, place.catalogue)
        if found:
            return found
    return []


def rehearse(session: Session, place: Place) -> None:
    """Makes every call as often, so that its plans are made, and kept by the session."""
    q = Caller(session.connection)
    for call in CALLS.values():
        for _ in range(call.repeats):
            with session.connection.transaction(force_rollback=True):
                call.make(q, place.population)


def build(server: Server, size: int) -> Iterator[Place]:
    with fresh_database(server) as database:
        q = Caller(database.connect())
        population = plant(q, size)
        early = Session(database.connect())
        place = Place(database, population, Catalogue.read(early), early)
        statistics.analysed(population)
        rehearse(early, place)
        grow(population, size)
        place.catalogue = Catalogue.read(early)
        place.blocks = q.sql("select low, high from pgqueue.block")
        yield place


def session_for(place: Place, belief: str) -> Session:
    """A new session, for which the planner believes so; or the one that planned when there was next to nothing."""
    if belief == "planned_when_empty":
        return place.early
    BELIEFS[belief](place.population)
    return Session(place.database.connect())


@pytest.fixture(scope="module")
def places(server: Server) -> Iterator[Callable[[int], Place]]:
    """Places by size, each filled once."""
    with ExitStack() as stack:
        yield cache(lambda size: stack.enter_context(contextmanager(build)(server, size)))


@pytest.fixture(scope="module")
def scene(request: pytest.FixtureRequest, places: Callable[[int], Place]) -> tuple[Session, Place]:
    size, belief = request.param
    place = places(size)
    return session_for(place, belief), place


@pytest.fixture(scope="module")
def place(places: Callable[[int], Place]) -> Place:
    return places(SMALL)


@pytest.mark.parametrize("scene", SCENES, indirect=True, scope="module", ids=lambda scene: f"{scene[1]}-{scene[0]}")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_no_call_walks_what_grows(scene: tuple[Session, Place], call: Call) -> None:
    session, place = scene
    found = judge(session, call, place)
    new = [breach for breach in found if breach.function not in KNOWN]
    if new:
        pytest.fail(report(new), pytrace=False)
    if found:
        pytest.xfail(f"{found[0].function}: {KNOWN[found[0].function]}")


# The guards can fail.


def unguarded(place: Place, statement: str, **demand: Any) -> str:
    """What is said of a statement, made after a change that is rolled back."""
    session = Session(place.database.connect())
    with session.connection.transaction(force_rollback=True):
        *changes, last = statement.split(";")
        for change in changes:
            session.connection.execute(change.encode())
        with session.explained() as statements:
            session.connection.execute(last.encode())
    return report(breaches(statements, Demand(**{"asked": 10, **demand}), place.catalogue))


def test_a_lost_index_is_seen(place: Place) -> None:
    claim = f"select * from pgqueue.claim({place.population.workers[0]}, array['default'], 10)"
    unguarded(place, claim)  # the first to come along walks what the population has left dead at the head
    assert unguarded(place, claim) == ""
    said = unguarded(place, f"drop index pgqueue.ready_turn; {claim}")
    assert "allowed: ready_turn by queue, priority" in said
    assert "in claim: " in said
    assert re.search(r" on ready \w+ \(", said)


def test_a_scan_that_walks_far_is_seen(place: Place) -> None:
    walk = "select from pgqueue.ready where queue = 'default' and priority = 0 and attempt = 7"
    said = unguarded(place, f"set enable_seqscan = off; set enable_bitmapscan = off; {walk}")
    assert re.search(r"^visits 1\d{4} rows for 10 asked\n  in the call itself: select from pgqueue.ready", said)
    assert "Index Scan using ready_turn on ready (0 rows, 1" in said


def test_a_scan_without_the_cursor_is_seen(place: Place) -> None:
    scan = "select from pgqueue.ready where queue = 'default' and priority = 0 {} order by seq limit 10"
    assert "not from the cursor" in unguarded(place, scan.format(""), seq=True)
    assert unguarded(place, scan.format("and seq > 5"), seq=True) == ""


def test_a_strange_partition_is_seen(place: Place) -> None:
    job = place.population.one("queued")
    own = place.partitions([job])
    look = "select from pgqueue.job where id in ({}, {})"
    assert unguarded(place, look.format(job, job), partitions=own) == ""
    assert "looks into job_" in unguarded(place, look.format(job, place.population.one("succeeded")), partitions=own)

"""Random histories over all features together, against the model in flow_machine.py; test_flow_mutants.py shows what
they find.

In the default run: the histories of seeds 1 and 2, of 8, 40 steps each. Slow: 5 of hypothesis, of up to 20 steps, the
same each time (derandomize), which it makes smaller when one fails. PGQUEUE_HISTORIES=1000x60 runs as many more, of as
many steps; the first seed, which is printed, is PGQUEUE_HISTORIES_SEED or one at random.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.sql.flow_machine import Machine, World
from tests.support.cluster import Server, fresh_database
from tests.support.seeds import seeds


@pytest.fixture(scope="module")
def world(server: Server) -> Iterator[World]:
    with fresh_database(server) as database:
        world = World(database)
        yield world
        print(f"{world.examples} examples, {world.steps} steps, {world.jobs} jobs, {world.starts} starts")


def walk(world: World, seed: int, steps: int, steady: bool | None = None, more: list[str] | None = None) -> None:
    """One history; a failure names its seed and its last actions. `steady`: settings seldom change; `more`: actions
    that are not taken otherwise, or not so often.
    """
    done: list[str] = []
    try:
        machine = type("Everything", (Machine,), {"world": world})()
        pick = random.Random(seed)
        machine.begin_at_random(pick, steady)
        machine.weighted = machine.weighted + (more or [])
        for _ in range(steps):
            machine.act_at_random(pick, done.append)
            machine.books_balance()
        machine.teardown()
    except BaseException as error:
        error.add_note(f"seed {seed}, step {len(done)} of {steps}; the last: " + "; ".join(done[-5:]))
        raise


@pytest.mark.parametrize("seed", seeds(range(1, 9), 2))
def test_everything_together(world: World, seed: int) -> None:
    walk(world, seed, 40)


@pytest.mark.slow
def test_everything_together_made_small(world: World) -> None:
    machine = type("Everything", (Machine,), {"world": world})
    how = settings(
        max_examples=5,
        stateful_step_count=20,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=how)


@pytest.mark.slow
@pytest.mark.timeout(36000)
@pytest.mark.skipif(not os.environ.get("PGQUEUE_HISTORIES"), reason="PGQUEUE_HISTORIES is not set")
def test_everything_together_for_long(world: World) -> None:
    histories, steps = map(int, os.environ["PGQUEUE_HISTORIES"].split("x"))
    first = int(os.environ.get("PGQUEUE_HISTORIES_SEED") or random.randrange(1_000_000))
    print(f"seeds {first} to {first + histories - 1}, {steps} steps each")
    for seed in range(first, first + histories):
        walk(world, seed, steps, more=["side_by_side", "family", "take_turns", "fill"] * (seed % 2 * 2))

"""Random histories over all features together, against the model in flow_machine.py.

In the default run the examples are the same each time (derandomize): 25 of up to 40 steps.
PGQUEUE_HISTORIES=1000x60 runs as many, of up to as many steps, from a seed of its own, which is
printed, and which PGQUEUE_HISTORIES_SEED repeats.
"""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.sql.flow_machine import Machine, World
from tests.support.cluster import Server, fresh_database

QUIET = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck), "print_blob": False}


def test_everything_together(server: Server) -> None:
    run(server, settings(max_examples=25, stateful_step_count=40, derandomize=True, **QUIET))  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.timeout(36000)
@pytest.mark.skipif(not os.environ.get("PGQUEUE_HISTORIES"), reason="PGQUEUE_HISTORIES is not set")
def test_everything_together_for_long(server: Server) -> None:
    examples, steps = map(int, os.environ["PGQUEUE_HISTORIES"].split("x"))
    number = int(os.environ.get("PGQUEUE_HISTORIES_SEED") or random.randrange(1_000_000))
    print(f"seed {number}")
    run(server, settings(max_examples=examples, stateful_step_count=steps, **QUIET), number)  # type: ignore[arg-type]


def run(server: Server, how: settings, number: int | None = None) -> None:
    with fresh_database(server) as database:
        world = World(database)
        machine = type("Everything", (Machine,), {"world": world})
        made: Any = machine if number is None else seed(number)(machine)
        try:
            run_state_machine_as_test(made, settings=how)
        finally:
            print(f"{world.examples} examples, {world.steps} steps")

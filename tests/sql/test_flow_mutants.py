"""The random histories can fail: each of these bugs, put into the database one at a time, is found by one of them.

The seed that finds a bug must pass without it, in the same database. All of them take some minutes (-m slow); three
that are found soon stand for the rest with `pytest -n 0 -m slow tests/sql/test_flow_mutants.py -k short`. In the
default run it is only asked whether each bug can still be put where it is said to be.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from pgqueue._sqlfiles import DEFAULT_SCHEMA, render, source_files
from tests.sql import test_unique_histories as unique
from tests.sql.calls import Caller
from tests.sql.flow_machine import World
from tests.sql.test_flow_machine import walk
from tests.support.cluster import Database

STEPS = 40


@dataclass(frozen=True)
class Mutant:
    """A bug: in `file`, below sql/functions, `old` reads `new`."""

    name: str
    file: str
    old: str
    new: str
    why: str
    seeds: range = range(1, 41)
    found_by: str = "machine"

    def statements(self) -> tuple[str, str]:
        """What puts the bug in, and what takes it out again."""
        name = f"functions/{self.file}.sql"
        texts = {file.name: file.text for file in source_files()}
        found = texts[name].count(self.old) if name in texts else None
        if found != 1:
            where = "there is no such file" if found is None else f"{self.old!r} is there {found} times, not once"
            raise AssertionError(f"mutant {self.name!r} does not fit sql/{name} any more: {where}")
        mutated, sound = (
            re.sub(r"^create (?=(function|procedure)\b)", "create or replace ", text, flags=re.MULTILINE)
            for text in (texts[name].replace(self.old, self.new), texts[name])
        )
        return render(mutated, DEFAULT_SCHEMA), render(sound, DEFAULT_SCHEMA)


MUTANTS = [
    Mutant(
        "short: a place too many",
        "private/_admit_groups",
        "s.group_key = g.key limit v_limit) s)",
        "s.group_key = g.key limit v_limit offset 1) s)",
        "group_limit off by one",
    ),
    Mutant(
        "a counted place too many",
        "private/_places",
        "s.state <> 4 limit v_limit) s)",
        "s.state <> 4 limit v_limit offset 1) s)",
        "group_limit off by one, where starts are counted too",
    ),
    Mutant(
        "slot kept",
        "private/_free_slots",
        "delete from pgqueue.slot s where s.job_id = any(jobs) returning",
        "delete from pgqueue.slot s where s.job_id = any(jobs[2:]) returning",
        "the first of a settled batch does not give its group's slot back",
    ),
    Mutant(
        "no group lock",
        "private/_admit_groups",
        "where pg_try_advisory_xact_lock(",
        "where true or pg_try_advisory_xact_lock(",
        "two sessions admit to one group at a time, neither seeing the other's slots",
        found_by="two sessions",
    ),
    Mutant(
        "room for one more",
        "private/_room",
        "greatest(max_running - v_running, 0)",
        "greatest(max_running + 1 - v_running, 0)",
        "max_running off by one",
    ),
    Mutant(
        "rate of one more",
        "private/_rate_room",
        "greatest(v_limit - coalesce(v_used, 0), 0)",
        "greatest(v_limit + 1 - coalesce(v_used, 0), 0)",
        "a queue's rate off by one",
    ),
    Mutant(
        "rate by half its window",
        "private/_rate_room",
        "pgqueue._now() - coalesce(q.rate_period, '1 second') into",
        "pgqueue._now() - coalesce(q.rate_period, '1 second') / 2 into",
        "starts leave the window of a queue's rate too soon",
    ),
    Mutant(
        "admitted and not counted",
        "private/_places",
        "limit v_limit) s) - (",
        "limit 0) s) - (",
        "a group's rate counts what has started and not what is admitted and will",
    ),
    Mutant(
        "overtaken while it waits",
        "private/_schedule",
        "= 'strict' for no key update",
        "= 'strict' and false for no key update",
        "in strict order a job that waits for its next attempt loses its place, and the next of its key starts",
    ),
    Mutant(
        "overtaken as it comes back",
        "private/_go_back",
        "is distinct from 'strict'",
        "is not null",
        "in strict order a released job whose starts are counted arrives behind all others",
    ),
    Mutant(
        "failure blocks nobody",
        "private/_not_blocking",
        "= 'block' for no key update",
        "= 'block' and false for no key update",
        "a failed job gives the place up with which it should block its group",
    ),
    Mutant(
        "key freed at start",
        "private/_give_up_keys",
        "e.traits & 2048 <> 0",
        "e.traits & 2049 <> 0",
        "a key that is held until the end is free once its job starts, beside one that is held until the start",
    ),
    Mutant(
        "short: key never freed",
        "private/_finish",
        "if v_traits & 2049 <> 0 then",
        "if v_traits & 2048 <> 0 then",
        "a key that is held until the end is held for ever",
    ),
    Mutant(
        "half a period",
        "private/_try_keys",
        "case when j.unique_until = 'period' then now_ + j.unique_for end",
        "case when j.unique_until = 'period' then now_ + j.unique_for / 2 end",
        "a key that is held for a period is free before it is over",
    ),
    Mutant(
        "debounce without delay",
        "private/_replace_job",
        "if (new_).on_duplicate <> 'debounce' then",
        "if (new_).on_duplicate <> 'debounce' or v_place.place = 'scheduled' then",
        "debounce replaces the arguments and does not put the job off",
        found_by="unique",
    ),
    Mutant(
        "one parent is enough",
        "private/_release",
        "over (partition by g.child) as pending_now",
        "over (partition by g.child) - 1 as pending_now",
        "a child starts before the last of its parents has ended",
    ),
    Mutant(
        "short: grandchildren forgotten",
        "private/_release",
        "e(id, traits) where e.traits & 4096 <> 0);",
        "e(id, traits) where e.traits & 4096 <> 0 and false);",
        "children are cancelled for a failed parent, and their own children wait for ever",
        found_by="families",
    ),
    Mutant(
        "follow-up of a retry",
        "private/_settle_unsuccessful",
        "  if v_later is not null then\n",
        "  if v_later is not null then\n"
        "    perform pgqueue._follow_up(v_later, array_fill('failed'::text, array[cardinality(v_later)]),\n"
        "      array_fill('error'::text, array[cardinality(v_later)]), v_later_traits, null);\n",
        "an attempt that will be tried again has its follow-ups already",
    ),
    Mutant(
        "two dead letters",
        "private/_dead_letters",
        "e.event = 'dead-lettered' limit 1) is null",
        "e.event = 'dead-lettered' limit 1) is null is not null",
        "a job that fails again after a retry has a second letter",
    ),
    Mutant(
        "never full",
        "private/_refuse_if_full",
        "pgqueue._queued(queue, v_most + 1) > v_most then",
        "pgqueue._queued(queue, v_most + 1) > v_most + 1 then",
        "max_queued refuses nothing",
        found_by="full queues",
    ),
    Mutant(
        "weights ignored",
        "private/_places",
        "coalesce(v_own.weight, 1)",
        "1",
        "a group of weight 2 has one turn in each round, like all others",
        found_by="turns",
    ),
    Mutant(
        "waiter forgotten",
        "private/_groups_behind",
        "if cardinality(v_mine) < cardinality(groups) then",
        "if false then",
        "a slot is freed while a claim puts jobs of its group aside for want of it, and nobody looks again",
        found_by="two sessions",
    ),
    Mutant(
        "nobody waits for the window",
        "private/_groups_wait",
        "where w.first is not null\n",
        "where w.first is null\n",
        "what waits for its group's rate is not looked at when a start leaves the window",
    ),
]


def by_machine(*more: str) -> Callable[[Database], Callable[[int], None]]:
    def histories(database: Database) -> Callable[[int], None]:
        world = World(database)
        return lambda seed: walk(world, seed, STEPS, steady=True, more=[*more] * 100)

    return histories


def by_unique(database: Database) -> Callable[[int], None]:
    q = Caller(database.connect())
    world = World(database)

    def run(seed: int) -> None:
        world.reset()
        q.sql("reset all")
        unique.test_one_session_as_the_model_says(q, seed)

    return run


FOUND_BY = {
    "machine": by_machine(),
    "two sessions": by_machine("side_by_side"),
    "families": by_machine("family"),
    "turns": by_machine("take_turns"),
    "full queues": by_machine("fill"),
    "unique": by_unique,
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_still_fits(mutant: Mutant) -> None:
    bug, sound = mutant.statements()
    assert bug != sound


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_found(pg: Database, mutant: Mutant) -> None:
    bug, sound = mutant.statements()
    with pg.connect() as connection:
        connection.execute("set check_function_bodies = off")
        connection.execute(bug.encode())
        run = FOUND_BY[mutant.found_by](pg)
        for seed in mutant.seeds:
            try:
                run(seed)
            except AssertionError as error:
                print(f"\n{mutant.name}: seed {seed}: {getattr(error, '__notes__', [''])[0]}: {str(error)[:150]}")
                break
        else:
            raise AssertionError(f"nobody has noticed in {len(mutant.seeds)} histories that {mutant.why}")
        connection.execute(sound.encode())
    run(seed)

"""Bulk operations, edits and the summary of failures."""

from __future__ import annotations

from typing import Any

from tests.plans.calls import CALLS, Call, Ids, _one_job, call
from tests.plans.population import Population
from tests.sql.calls import Caller

# Rows that a walk may look at: twenty thousand in each of nine places; a rule allows four for each one asked for.
WALK = 45_000


def _bulk(name: str, function: str, filter: dict[str, Any], asked: int = WALK, **arguments: Any) -> None:
    @call(asked=asked)
    def make(q: Caller, found: Population) -> Ids:
        given = {key: value(found) if callable(value) else value for key, value in filter.items()}
        row = q.one(function, filter=given, max=20, **arguments)
        assert row["more"] or function == "count_jobs" or row["done"] + row["skipped"] > 0, row
        return None

    del CALLS["make"]
    CALLS[name] = Call(name, make, asked, repeats=6)


_bulk("cancel_jobs", "cancel_jobs", {"queue": "mail"})
_bulk("cancel_jobs_closely", "cancel_jobs", {"queue": "mail", "args": {}})
_bulk("cancel_jobs_of_any_queue", "cancel_jobs", {"created_after": "2020-01-01"}, asked=8 * WALK)
_bulk("cancel_jobs_by_id", "cancel_jobs", {"ids": lambda found: found.some("keyed", 5) + found.some("later", 5)}, 200)
_bulk("cancel_jobs_of_groups", "cancel_jobs", {"queue": "grouped", "state": "held"}, asked=2 * WALK)
_bulk("retry_jobs", "retry_jobs", {"state": "failed"}, rate_limit=5)
_bulk("retry_jobs_by_error", "retry_jobs", {"error_type": "Boom", "after_id": 3_000_000})
_bulk("set_priority_of_jobs", "set_priority_of_jobs", {"state": "scheduled"}, priority=3)
_bulk("move_jobs", "move_jobs", {"queue": "keyed"}, queue="elsewhere")
_bulk("move_jobs_of_lines", "move_jobs", {"queue": "scripts"}, queue="elsewhere")
_bulk("delete_jobs", "delete_jobs", {"finished_before": "2100-01-01"})
_bulk("count_jobs", "count_jobs", {"kind": "never heard of"}, asked=8 * WALK, action="cancel")
_one_job("edit_job", ("queued", "later", "arrived", "held", "crashed", "failed"), args={"n": 1})


@call(asked=100_000, repeats=2)
def failures(q: Caller, found: Population) -> Ids:
    assert q("failures")
    return None

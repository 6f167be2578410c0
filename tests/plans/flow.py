"""Jobs that wait for others for the population, fifty for each parent; and jobs with follow-ups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.sql.calls import Caller

if TYPE_CHECKING:
    from tests.plans.population import Population

EACH = 50  # children of one parent
FOLLOW_UPS: dict[str, Any] = {"on_success": {"kind": "next", "pass_as": "got"}, "on_error": {"kind": "alarm"}}


def plant_flow(q: Caller) -> dict[str, int]:
    """The first of each."""
    with q.connection.transaction():
        made = {"parent": q.enqueue(queue="parents")}
        made["waiting"] = q.enqueue(queue="children", depends_on=[made["parent"]])
    made["followed"] = q.enqueue(queue="followed", **FOLLOW_UPS)
    return made


def grow_flow(found: Population) -> None:
    """Who waits for whom; and parents to look at: half of them wait, half have ended."""
    q, parents, children = found.q, found.ids["parent"], found.ids["waiting"]
    q.sql(
        """insert into pgqueue.dependency (parent_id, child_id, policy, counted)
           select %s + (g - %s) / %s, g, 'cancel', false from generate_series(%s, %s) g""",
        *(parents.start, children.start, EACH, children.start, children.stop - 1),
    )
    for kind in ("queued", "succeeded"):
        q.sql(
            """insert into pgqueue.parent_look (seq, job_id, low, high, parked)
               select nextval('pgqueue.job_id'), g, 0, 0, g %% 2 = 0 from generate_series(%s, %s) g""",
            found.ids[kind].start,
            found.ids[kind].start + 5_000,
        )

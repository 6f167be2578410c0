"""Items of keyed queues for the population: those that wait, a thousand a queue; those that are over, with results; and
some that clients execute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sql.calls import Caller

if TYPE_CHECKING:
    from tests.plans.population import Population

EACH = 1000  # items that wait in one queue


def plant_keyed(q: Caller) -> dict[str, int]:
    """The first of each."""
    made = {"itemed": q.one("keyed_add", queue="items 0", key="first", payload="what", external_id="e")["id"]}
    q("keyed_add", queue="items 0", key="first", payload="", orphan_ms=10**9)
    made["resulted"] = q.one("keyed_add", queue="results 0", key="first", payload="what", external_id="e")["id"]
    q("keyed_ack", id=made["resulted"], result="answer", ttl="1 day")
    q("next_number", name="plan")
    return made


def grow_keyed(found: Population) -> None:
    """Some are active; and one queue has few."""
    for n in range(50):
        found.q("keyed_add", queue="few", key=f"k{n}", payload="p")
    for queue in ("items 0", "items 1"):
        found.q("keyed_claim_next", queue=queue, n=100)

"""The calls of keyed queues whose plans are guarded. A call of a queue counts what waits in it: so much it may see."""

from __future__ import annotations

from typing import Any

from tests.plans.calls import CALLS, Call, Ids, call
from tests.plans.keyed import EACH
from tests.plans.population import Population
from tests.sql.calls import Caller

Q: dict[str, Any] = {"queue": "items 1"}


def _register(name: str, make: Any, asked: int = 1, **options: Any) -> None:
    CALLS[name] = Call(name, make, asked, **options)


def _item(found: Population, nth: int = 0) -> int:
    """One that waits in `items 1`, for it is among the second thousand."""
    return found.ids["itemed"][min(EACH + 500 + nth, len(found.ids["itemed"]) - 1 - nth)]


# -- in --


@call(asked=EACH)
def keyed_add(q: Caller, found: Population) -> Ids:
    for key in ("new", "new"):
        q("keyed_add", **Q, key=key, payload="p", orphan_ms=1000, external_id="e", reuse=True, stage_key="s")
    q("keyed_add", **Q, key=f"key {_item(found)}", payload="p", priority=5)
    return None


@call(asked=EACH)
def keyed_add_and_claim(q: Caller, found: Population) -> Ids:
    q("keyed_add_and_claim", **Q, key="new", payload="p", concurrency=10**6)
    q("keyed_add_and_claim", **Q, key=f"key {_item(found)}", payload="p", concurrency=10**6)
    q("keyed_add_and_claim", queue="empty", key="new", payload="p", concurrency=1)
    return None


@call(asked=1)
def keyed_extend(q: Caller, found: Population) -> Ids:
    q("keyed_extend", id=_item(found), orphan_ms=10**10)
    return None


# -- executing --


@call(asked=EACH)
def keyed_claim(q: Caller, found: Population) -> Ids:
    q("keyed_claim", **Q, key=f"key {_item(found)}", concurrency=10**6)
    q("keyed_claim", **Q, id=_item(found, 1), concurrency=10**6)
    q("keyed_claim", **Q, key="unknown", concurrency=10**6)
    return None


@call(asked=EACH)
def keyed_claim_next(q: Caller, found: Population) -> Ids:
    assert len(q("keyed_claim_next", **Q, n=10, process_id="p")) <= 10
    return None


@call(asked=EACH)
def keyed_claim_in_a_limited_queue(q: Caller, found: Population) -> Ids:
    q("configure_queue", **Q, settings={"max_running": 100000})
    q("keyed_claim", **Q, key=f"key {_item(found)}", concurrency=None)
    q("keyed_claim_next", **Q)
    q("keyed_ack", **Q, key=f"key {_item(found)}", result="x")
    return None


@call(asked=10)
def keyed_round(q: Caller, found: Population) -> Ids:
    """By id and by key, of one that a client has."""
    for row in q("keyed_claim_next", **Q, n=4)[:4]:
        q("keyed_heartbeat", id=row["id"])
        q("keyed_heartbeat", **Q, key=row["key"])
        q("keyed_merge_extra", id=row["id"], extra='{"a":1}')
        q("keyed_merge_extra", **Q, key=row["key"], extra='{"a":2}')
        q("keyed_get", id=row["id"])
        q("keyed_get", **Q, key=row["key"])
        q("keyed_state", id=row["id"])
        q("keyed_ack", id=row["id"], result="x")
        q("keyed_state", id=row["id"])
    return None


# What the claim in it counts.
CALLS["keyed_round"] = Call("keyed_round", CALLS["keyed_round"].make, EACH)


@call(asked=10)
def keyed_cancel(q: Caller, found: Population) -> Ids:
    q("keyed_cancel", id=_item(found))
    q("keyed_cancel", **Q, key=f"key {_item(found, 1)}")
    for row in q("keyed_active", **Q)[:3]:
        q("keyed_cancel", id=row["id"])
    return None


@call(asked=100)
def keyed_by_a_worker(q: Caller, found: Population) -> Ids:
    worker = q.worker("items 1")
    jobs = q.claim(worker, 10, ["items 1"])
    q.settle(jobs[:5], result="x")
    q.settle(jobs[5:8], "discard", error={"message": "no"})
    q.settle(jobs[8:], "release")
    return None


@call(asked=EACH)
def keyed_reap(q: Caller, found: Population) -> Ids:
    q.sql("select set_config('pgqueue.now', (now() + interval '1 hour')::text, true)")
    q("keyed_reap", **Q, heartbeat_ms=0, max=5)
    q("keyed_reap", **Q, heartbeat_ms=0, max=5, release=True)
    q("keyed_reap", **Q, orphan_ms=0, max=5)
    return None


def _lapsed(name: str, **arguments: int) -> None:
    _register(name, lambda q, found: q(name, **Q, **arguments) and None, EACH)


_lapsed("keyed_stalled", heartbeat_ms=0)
_lapsed("keyed_orphaned", orphan_ms=10**6)
_lapsed("keyed_to_cancel", heartbeat_ms=0, orphan_ms=0)

for _name in ("keyed_keys", "keyed_list", "keyed_pending", "keyed_active"):
    _register(_name, lambda q, found, name=_name: q(name, **Q, process_id="p") and None, EACH)
_register("keyed_stage", lambda q, found: q("keyed_stage", **Q, stage_key="s") and None, EACH)


@call(asked=EACH, repeats=2)
def keyed_truncate(q: Caller, found: Population) -> Ids:
    for queue in ("few", "results 1"):
        q("keyed_truncate", queue=queue)
    return None


# -- results --


@call(asked=10)
def keyed_result(q: Caller, found: Population) -> Ids:
    for item in found.some("resulted", 3):
        where = {"queue": f"results {item % 100}", "key": f"key {item}"}
        for external_id in (None, None, "e", "f"):
            q("keyed_result", **where, external_id=external_id)
    return None


@call(asked=10)
def keyed_result_by_id(q: Caller, found: Population) -> Ids:
    for item in found.some("resulted", 3):
        for _ in range(2):
            assert len(q("keyed_result_by_id", id=item, external_id="e")) == 1
        q("keyed_state", id=item)
    q("keyed_result_by_id", id=_item(found))
    return None


@call(asked=1)
def next_number(q: Caller, found: Population) -> Ids:
    q("next_number", name="plan")
    return None


@call(asked=3000)  # three slices of a thousand
def keyed_upkeep(q: Caller, found: Population) -> Ids:
    (row,) = q("maintain", duties=["results"])
    assert row["error"] is None, row
    return None

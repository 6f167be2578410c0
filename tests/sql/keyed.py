"""What the tests of keyed queues share: calls with what most of them give, and how an item ends."""

from __future__ import annotations

from typing import Any

from psycopg.types.json import Jsonb

from tests.sql.calls import Caller, Row

# What an item leaves behind must be gone once it has ended, its result apart.
SIDE = ("keyed_item", "keyed_payload")

ACTIVE = """select count(*) from pgqueue.keyed_item where queue = %s and lease_id is not null"""

# Nobody stands in two places, and what an item says of its lease is so.
ASTRAY = """
  select i.job_id, i.lease_id from pgqueue.keyed_item i
  where i.lease_id is distinct from (select l.id from pgqueue.lease l where i.job_id = any(l.job_ids))
    or (i.lease_id is null) <> (
      exists (select from pgqueue.ready r where r.job_id = i.job_id)
      or exists (select from pgqueue.suspect s where s.job_id = i.job_id)
      or exists (select from pgqueue.scheduled s where s.job_id = i.job_id))
    or not exists (select from pgqueue.job_key k where k.job_id = i.job_id)
    or not exists (select from pgqueue.keyed_payload p where p.job_id = i.job_id)
    or exists (select from pgqueue.outcome o where o.job_id = i.job_id)"""


def add(q: Caller, key: str = "k", queue: str = "q", payload: str = "{}", **more: Any) -> Row:
    return q.one("keyed_add", queue=queue, key=key, payload=payload, **more)


def added(q: Caller, key: str = "k", queue: str = "q", payload: str = "{}", **more: Any) -> int:
    """The id of a new item."""
    found = add(q, key, queue, payload, **more)
    assert found["created"]
    return int(found["id"])


def run(q: Caller, key: str = "k", queue: str = "q", payload: str = "{}", **more: Any) -> Row:
    """Added and claimed in one step."""
    return q.one("keyed_add_and_claim", queue=queue, key=key, payload=payload, **more)


def claim(q: Caller, key: str | None = "k", queue: str = "q", concurrency: int | None = 1, **more: Any) -> Row:
    return q.one("keyed_claim", queue=queue, key=key, concurrency=concurrency, **more)


def running(q: Caller, key: str = "k", queue: str = "q", **more: Any) -> int:
    """The id of a new item that is active."""
    made = added(q, key, queue, **more)
    assert claim(q, key, queue, None, process_id=more.get("process_id"))["refused"] is None
    return made


def ack(q: Caller, item: int, result: str | None = '{"result":1}', **more: Any) -> bool:
    return bool(q.value("keyed_ack", id=item, result=result, **more))


def ended(q: Caller, key: str = "k", queue: str = "q", result: str | None = '{"result":1}', **more: Any) -> int:
    """The id of an item that has run."""
    made = running(q, key, queue, **more)
    assert ack(q, made, result)
    return made


def result(q: Caller, key: str = "k", queue: str = "q", external_id: str | None = None) -> str | None:
    """What a read by key has, once."""
    rows = q("keyed_result", queue=queue, key=key, external_id=external_id)
    return rows[0]["payload"] if rows else None


def by_id(q: Caller, item: int, **more: Any) -> str | None:
    rows = q("keyed_result_by_id", id=item, **more)
    return rows[0]["payload"] if rows else None


def cancel(q: Caller, item: int) -> Row | None:
    rows = q("keyed_cancel", id=item)
    return rows[0] if rows else None


def state(q: Caller, item: int) -> str:
    return str(q.value("keyed_state", id=item))


def keys(q: Caller, function: str = "keyed_keys", queue: str = "q", **more: Any) -> list[str]:
    return [row["key"] for row in q(function, queue=queue, **more)]


def lapsed(q: Caller, function: str = "keyed_to_cancel", queue: str = "q", **more: Any) -> list[str]:
    return [row["key"] for row in q(function, queue=queue, **more)]


def later(q: Caller, seconds: float) -> None:
    """This session's clock, so many seconds after that of the server."""
    q.sql("select set_config('pgqueue.now', (clock_timestamp() + %s * interval '1 second')::text, false)", seconds)


def settle(q: Caller, job: Row, outcome: str = "succeeded", answer: str | None = None, **more: Any) -> list[Row]:
    """As a worker does: the text of the result is a JSON string."""
    rows = q.sql(
        """select lease, job_id, problem from pgqueue.settle(array[%s::bigint], array[%s::bigint], array[%s],
             array[%s::jsonb], array[%s::jsonb], array[%s::interval])""",
        job["lease"],
        job["id"],
        outcome,
        None if answer is None else Jsonb(answer),
        Jsonb(more["error"]) if "error" in more else None,
        more.get("delay"),
    )
    return [dict(zip(("lease", "job_id", "problem"), row, strict=True)) for row in rows]


def lose_workers(q: Caller) -> None:
    """Every worker is gone, and what they held is rescued."""
    q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
    assert [row for row in q("maintain") if row["error"]] == []


def tidy(q: Caller) -> None:
    """Upkeep, an hour and some from now."""
    with q.connection.transaction():
        q.sql("select set_config('pgqueue.now', (clock_timestamp() + interval '70 minutes')::text, true)")
        for _ in range(3):
            assert [row for row in q("maintain", duties=["results", "tidy"]) if row["error"]] == []


def nothing_left(q: Caller) -> None:
    """No item lives, and none has left a row where it stood."""
    assert q.places() == {}
    assert [q.sql(f"select count(*) from pgqueue.{table}")[0][0] for table in SIDE] == [0, 0]

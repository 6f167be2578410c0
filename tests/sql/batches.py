"""What the tests of batches share: a worker's part in any language, and the books of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psycopg.types.json import Jsonb

from tests.sql.calls import Caller, Row

QUEUE = "app/op"
Said = dict[str, Any]
Judge = Callable[[list[Any]], Said]

# Counters against what is recorded, and what must hold of every batch at every moment.
UNBALANCED = """
  select b.id, b.status, c.rows, c.pending, c.succeeded, c.failed, c.aborted, r.*
  from pgqueue.batch b join pgqueue.batch_count c on c.batch_id = b.id
  cross join lateral (
    select count(*) filter (where o.status = 'succeeded') as succeeded,
      count(*) filter (where o.status = 'failed') as failed,
      count(*) filter (where o.status = 'aborted') as aborted, count(distinct o.row_id) as ids
    from pgqueue.row_outcome o where o.batch_id = b.id) r
  where (c.succeeded, c.failed, c.aborted) is distinct from (r.succeeded, r.failed, r.aborted)
    or c.rows - c.pending <> r.ids
    or (b.done_at is not null) <> (c.pending = 0 and b.status <> 'held')
    or b.status = 'succeeded' and c.succeeded <> c.rows
    or b.status = 'failed' and (c.failed = 0 or c.aborted > 0)
    or (b.done_job is not null) <> (b.done_at is not null)"""

# One completion for each batch that is over, and none for the others.
CALLED_BACK = """
  select b.id, b.status, count(j.id)
  from pgqueue.batch b left join pgqueue.job j on j.kind = 'rows.done' and (j.args ->> 'batch')::bigint = b.id
  group by b.id having count(j.id) <> (case when b.done_at is null then 0 else 1 end)"""


def lines(count: int, first: int = 1) -> list[Said]:
    return [{"line": n, "input": {"n": n}} for n in range(first, first + count)]


def submit(q: Caller, rows: int | list[Said] = 3, app: str = "app", op: str = "op", **more: Any) -> int:
    given = lines(rows) if isinstance(rows, int) else rows
    return int(q.value("batch_submit", app=app, op=op, rows=Jsonb(given), **more))


def slow(q: Caller, given: object = 1, app: str = "app", op: str = "op", **more: Any) -> int:
    return int(q.value("slow_query_submit", app=app, op=op, input=Jsonb(given), **more))


def append(q: Caller, batch: int, rows: int | list[Said] = 2, **more: Any) -> int:
    given = lines(rows) if isinstance(rows, int) else rows
    return int(q.value("batch_append", id=batch, rows=Jsonb(given), **more))


def said(row: list[Any], status: str = "succeeded", **more: Any) -> Said:
    return {"row": row[0], "status": status, **more}


def hand_in(q: Caller, job: Row, judge: Judge = said) -> None:
    """What the worker says of each row of a slice."""
    assert q.settle([job], result=[judge(row) for row in job["args"]["rows"]]) == []


def take(q: Caller, worker: int, n: int = 100, *queues: str) -> list[Row]:
    return q.claim(worker, n, list(queues) or [QUEUE])


def work(q: Caller, worker: int, judge: Judge = said, *queues: str) -> list[int]:
    """All there is to do; the batches whose completion was called back."""
    done = []
    while taken := take(q, worker, 100, *queues):
        for job in taken:
            if job["kind"] == "rows.done":
                assert q.settle([job]) == []
                done.append(job["args"]["batch"])
            else:
                hand_in(q, job, judge)
    return done


def status(q: Caller, batch: int) -> Row:
    return q.one("batch_status", id=batch)


def counts(q: Caller, batch: int) -> tuple[Any, ...]:
    """Status, then how many succeeded, failed, were aborted, are pending."""
    found = status(q, batch)
    return tuple(found[name] for name in ("status", "succeeded", "failed", "aborted", "pending"))


def statuses(q: Caller, batch: int) -> list[tuple[int, str]]:
    return [(row["line"], row["status"]) for row in q("batch_rows", id=batch)]


def balanced(q: Caller) -> bool:
    """Raises where the books do not balance."""
    assert q.sql(UNBALANCED) == []
    assert q.sql(CALLED_BACK) == []
    return True


def crash(q: Caller) -> None:
    """Every worker is gone, and what they held is rescued."""
    q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
    assert [row for row in q("maintain") if row["error"]] == []


def file(q: Caller, batch: int, name: str, **more: Any) -> str:
    """An output file, read in pieces."""
    data, at = "", {"after_line": None, "after_row": None}
    while True:
        piece = q.one("output_file", id=batch, name=name, **at, **more)
        data += piece["data"]
        if piece["is_last"]:
            return data
        assert (piece["next_line"], piece["next_row"]) != tuple(at.values())
        at = {"after_line": piece["next_line"], "after_row": piece["next_row"]}

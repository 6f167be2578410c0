"""Batches for the population: waiting ones and held ones of fifty slices each, small ones that are over, and two large
ones, one of them over and one at work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg.types.json import Jsonb

from tests.sql.calls import Caller

if TYPE_CHECKING:
    from tests.plans.population import Population

SLICES = 50  # of a batch that waits or is held
SMALL_ROWS = 20


def plant_batches(q: Caller) -> tuple[dict[str, int], dict[str, int]]:
    """The first of each: a waiting slice and a held one by kind of job; and batches by what they are."""
    found = {}
    for name, rows, hold in (
        ("waiting", 10, False),
        ("held", 10, True),
        ("small", 2, False),
        ("big", 2, False),
        ("working", 20, False),
    ):
        given = [{"line": n, "input": {}} for n in range(1, rows + 1)]
        found[name] = q.value("batch_submit", app="app", op=name, rows=Jsonb(given), hold=hold, owner="one")
    worker = q.worker("app/small", "app/big", "app/working")
    for name, n in (("small", 2), ("big", 2), ("working", 1)):
        (job,) = q.claim(worker, 1, [f"app/{name}"])
        said = [{"row": row, "status": "succeeded", "output": {"f": "line"}} for row in range(10)][: n * 10]
        assert q.settle([job], result=said) == []
        q.settle([job for job in q.claim(worker, 10, [f"app/{name}"]) if job["kind"] == "rows.done"])
    slices = dict(q.sql("select batch_id, job_id from pgqueue.batch_slice"))
    return {"sliced": slices[found["waiting"]], "reserved": slices[found["held"]]}, found


def grow_batches(found: Population, size: int) -> None:
    """The slices have been copied: the batches they are of, and those that are over."""
    q, first = found.q, found.batches
    ids = {kind: found.ids[kind].start for kind in ("sliced", "reserved")}
    for kind, template in (("sliced", first["waiting"]), ("reserved", first["held"])):
        _batches(
            q,
            template,
            f"select id from generate_series({ids[kind]}, {found.ids[kind].stop - 1}, {SLICES}) id",
            SLICES * 10,
        )
    (start,) = q.sql("select nextval('pgqueue.job_id')")[0]
    count = max(size // 50, 2)
    q.sql("select setval('pgqueue.job_id', %s)", start + count + 10)
    done = f"select id from generate_series({start}, {start + count - 1}) id"
    _batches(q, first["small"], done, SMALL_ROWS)
    _outcomes(q, first["small"], done, SMALL_ROWS)
    for name, at in (("big", count), ("working", count + 1)):
        one = f"select {start + at}::bigint as id"
        _batches(q, first[name], one, size // 10)
        _outcomes(q, first[name], one, size // 10)
    found.batches = {
        "waiting": ids["sliced"] + SLICES * 2,
        "held": ids["reserved"] + SLICES * 2,
        "small": start + count // 2,
        "big": start + count,
        "working": start + count + 1,
    }


def _batches(q: Caller, template: int, ids: str, rows: int) -> None:
    q.sql(
        f"""insert into pgqueue.batch
            select (jsonb_populate_record(b, jsonb_build_object('id', i.id, 'owner', 'owner ' || i.id / 50,
              'expires_at', b.expires_at + interval '1 second' * (i.id %% 86400)))).*
            from pgqueue.batch b, ({ids}) i where b.id = %s""",
        template,
    )
    q.sql(
        f"""insert into pgqueue.batch_count (batch_id, rows, pending, succeeded)
            select i.id, {rows}, case when c.pending = 0 then 0 else {rows} - c.succeeded end,
              case when c.pending = 0 then {rows} else c.succeeded end
            from pgqueue.batch_count c, ({ids}) i where c.batch_id = %s""",
        template,
    )
    q.sql(
        f"""insert into pgqueue.batch_file (batch_id, name, lines, chars)
            select i.id, f.name, {rows}, {rows} * 5 from pgqueue.batch_file f, ({ids}) i where f.batch_id = %s""",
        template,
    )


def _outcomes(q: Caller, template: int, ids: str, rows: int) -> None:
    q.sql(
        f"""insert into pgqueue.row_outcome
            select i.id, n, n - 1, o.status, o.done_at, o.worker_id, o.result, o.messages, o.output
            from (select o.* from pgqueue.row_outcome o where o.batch_id = %s limit 1) o,
              ({ids}) i, generate_series(1, {rows}) n""",
        template,
    )

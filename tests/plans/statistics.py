"""What the planner believes of the tables, made wrong in the ways it goes wrong in the life of a queue."""

from __future__ import annotations

from tests.plans.batches import SLICES
from tests.plans.population import KINDS, PLACES, Population
from tests.sql.calls import Caller

_OURS = "(select c.oid from pg_class c where c.relnamespace = 'pgqueue'::regnamespace)"


def analysed(found: Population) -> None:
    """As it is."""
    for table in _tables(found.q):
        found.q.sql(f"analyze {table}")


def never_analysed(found: Population) -> None:
    _forget(found.q, rows=-1, pages="0")


def analysed_when_empty(found: Population) -> None:
    """As vacuum finds a drained queue whose files are still as large as its backlog was: no rows on many pages, and so
    it stays believed while the pages fill again.
    """
    _forget(found.q, rows=0, pages="pg_relation_size(oid) / 8192")


def analysed_when_full(found: Population) -> None:
    """The backlog is gone but for a few hundred jobs, and the statistics are those of before. There is no way back."""
    analysed(found)
    kept = [job for kind in KINDS for job in (*found.some(kind, 200), found.one(kind))]
    # Of the batches the first few are whole.
    kept += [job for kind in ("sliced", "reserved") for job in found.ids[kind][: 10 * SLICES]]
    waits = "job_id in (select i.job_id from pgqueue.keyed_item i where i.lease_id is null)"
    found.q.sql(f"delete from pgqueue.job_key k where {waits} and k.job_id <> all(%s)", kept)
    for place in PLACES:
        gone = "not exists (select from unnest(%s::bigint[]) k(id) where k.id = w.job_id)"
        found.q.sql(f"delete from pgqueue.{place} w where {gone}", kept)
        found.q.sql(f"vacuum (truncate off) pgqueue.{place}")
    for table in ("keyed_item", "keyed_payload"):
        gone = "not exists (select from pgqueue.job_key k where k.job_id = w.job_id)"
        found.q.sql(f"delete from pgqueue.{table} w where {gone}")
        found.q.sql(f"vacuum (truncate off) pgqueue.{table}")


def _tables(q: Caller) -> list[str]:
    return [
        name
        for (name,) in q.sql(
            """select c.oid::regclass::text from pg_class c
               where c.relnamespace = 'pgqueue'::regnamespace and c.relkind = 'r'"""
        )
    ]


def _forget(q: Caller, rows: int, pages: str) -> None:
    q.sql(f"delete from pg_statistic where starelid in {_OURS}")
    q.sql(
        f"""update pg_class set reltuples = {rows}, relpages = {pages}
            where relnamespace = 'pgqueue'::regnamespace and relkind in ('r', 'i')"""
    )

"""A database with jobs in every state and place: few of each at first, then as many as wanted.

The first of each kind is made by the public functions. The others are copies of its rows, in whatever tables and
columns it has any, under other ids: so they are what enqueue, claim and settle write, and a new column needs no change.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import psycopg
from psycopg.types.json import Jsonb

from tests.plans.batches import SLICES, grow_batches, plant_batches
from tests.plans.flow import grow_flow, plant_flow
from tests.plans.keyed import EACH, grow_keyed, plant_keyed
from tests.sql.calls import Caller

# Where jobs wait.
PLACES = ("ready", "scheduled", "arrival", "blocked", "suspect", "line", "held", "dependent")

GROUPED_QUEUE, WIDE_QUEUES = "grouped", 400

# Columns that differ from copy to copy, by kind of job; `g` is the copy's id, `i` counts from nought, `n` is the size.
_IDS = {"id": "g", "job_id": "g", "seq": "case when t.seq = t.job_id then g else g + turns end"}


@dataclass(frozen=True)
class Kind:
    """`share`: how many copies, as a fraction of the size. `columns`: those that vary."""

    share: float
    columns: dict[str, str] = field(default_factory=dict)


_OWNERS = {"owner": "'owner ' || i / 50", "group_key": "'owner ' || i / 50"}
_ANSWERS = {
    "identity": "decode(md5((i / 50)::text), 'hex')",
    "expires_at": "now() + interval '1 second' * (g % 86400)",
    "forget_at": "now() + interval '1 day' + interval '1 second' * (g % 86400)",
}

KINDS = {
    "succeeded": Kind(1.0, {"finished_at": "now() - interval '1 second' * (4000000 - g % 3000000) / 100"}),
    "failed": Kind(0.05),
    "reported": Kind(0.02),
    "watched": Kind(0.02),
    "queued": Kind(0.6),
    "mail": Kind(0.3, {"priority": "g % 5 - 2"}),
    "wide": Kind(0.1, {"queue": f"'wide ' || g % {WIDE_QUEUES}"}),
    "later": Kind(0.05, {"run_at": "now() + interval '1 hour' + interval '1 second' * (g % 86400)"}),
    "due": Kind(0.05, {"run_at": "now() - interval '1 second' * (g % 1000)"}),
    "keyed": Kind(0.05, {"unique_key": "'key ' || g"}),
    "expiring": Kind(0.05, {"expires_at": "now() + interval '1 hour' + interval '1 second' * (g % 86400)"}),
    "expired": Kind(0.0005, {"expires_at": "now() - interval '1 second' * (g % 1000)"}),
    "moved": Kind(0.05),
    "arrived": Kind(0.05, {"group_key": "'group ' || i / 50"}),
    "held": Kind(0.05, {"group_key": "'group ' || i / 50"}),
    "admitted": Kind(0.05, {"group_key": "'group ' || i % (n / 2000)"}),  # every second group is full
    "crashed": Kind(0.05),
    "lined": Kind(0.05, _OWNERS),
    "sliced": Kind(0.05, {"batch_id": f"g - i % {SLICES}"}),
    "reserved": Kind(0.05, {"batch_id": f"g - i % {SLICES}"}),
    "itemed": Kind(0.1, {"unique_key": "'key ' || g", "key": "'key ' || g", "queue": f"'items ' || i / {EACH}"}),
    "resulted": Kind(
        0.1,
        {
            "key": "'key ' || g",
            "queue": "'results ' || g % 100",
            "expires_at": "now() + interval '1 hour' + interval '1 second' * (g % 80000)",
        },
    ),
    "asked": Kind(0.02, {**_OWNERS, "unique_key": "'asked ' || g", "identity": "decode(md5(g::text), 'hex')"}),
    "scripted": Kind(0.05, {**_OWNERS, "expires_at": "now() + interval '1 second' * (g % 86400)"}),
    "answered": Kind(0.05, {**_OWNERS, **_ANSWERS}),
    "parent": Kind(0.01),
    "waiting": Kind(0.1),
    "followed": Kind(0.02),
}


@dataclass
class Population:
    """Where everything is. `ids[kind]`: the ids of the jobs of a kind."""

    q: Caller
    ids: dict[str, range] = field(default_factory=dict)
    workers: list[int] = field(default_factory=list)
    leases: dict[int, list[int]] = field(default_factory=dict)
    batches: dict[str, int] = field(default_factory=dict)

    def some(self, kind: str, count: int = 1) -> list[int]:
        """Ids of a kind, evenly spread; fewer when there are fewer."""
        ids = self.ids[kind]
        return list(ids[:: max(len(ids) // count, 1)][:count])

    def one(self, kind: str) -> int:
        return self.ids[kind][len(self.ids[kind]) // 2]


def plant(q: Caller, size: int) -> Population:
    """A few jobs of every kind, in blocks of half the size, with nothing analysed behind the tests' back."""
    found = Population(q)
    q.sql("select setval('pgqueue.job_id', 3000000)")
    q("configure", settings={"block_size": size // 2, "blocks_ahead": 14, "lost_after": "1 day"})
    q("maintain", duties=["blocks"])
    for _ in range(3):
        q("maintain", duties=["retention"])  # drops the empty blocks of the beginning
    q.sql(
        """do $$ declare t regclass; begin
             for t in
               select c.oid from pg_class c where c.relnamespace = 'pgqueue'::regnamespace and c.relkind = 'r'
             loop
               execute 'alter table ' || t || ' set (autovacuum_enabled = off)';
             end loop;
           end $$"""
    )
    made = _first_of_each(q)
    slices, found.batches = plant_batches(q)
    made |= slices | plant_keyed(q) | plant_flow(q)
    found.ids = {kind: range(job, job + 1) for kind, job in made.items()}
    found.workers = [q.worker("default", "mail", "leased") for _ in range(20)]
    _hold(found, 1)
    return found


def grow(found: Population, size: int) -> None:
    """Copies of every kind, as many as its share of the size. Nothing is analysed."""
    q = found.q
    (at,) = q.sql("select nextval('pgqueue.job_id')")[0]
    templates = found.ids
    found.ids = {}
    for name, kind in KINDS.items():
        found.ids[name] = range(at, at + max(int(size * kind.share), 1))
        at = found.ids[name].stop
    turns = at - found.ids["succeeded"].start
    q.sql("select setval('pgqueue.job_id', %s)", at + turns)

    def copy(name: str) -> None:
        with psycopg.connect(q.connection.info.dsn, autocommit=True) as connection:
            _copy(
                Caller(connection),
                templates[name].start,
                found.ids[name],
                {"n": size, "turns": turns},
                KINDS[name].columns,
            )

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(copy, KINDS))
    q.sql(
        """insert into pgqueue.owner_turns (queue, owner, turns, arrived)
           select queue, owner, 0, min(job_id) from pgqueue.line group by queue, owner on conflict do nothing"""
    )
    grow_batches(found, size)
    _finish_the_first(q, min(ids.start for ids in found.ids.values()))
    grow_keyed(found)
    grow_flow(found)
    _hold(found, 10)
    for low in range(0, 1000, 100):
        q("enqueue_each", kind="noop", args=[{"n": low}] * 100, queue="limited")
    # Whoever comes along first walks what is dead at the head of the line.
    q.sql("set enable_seqscan = off")
    q.sql("select ctid from pgqueue.ready where queue = 'default' and priority = 0 order by seq limit 20")
    q.sql("reset enable_seqscan")


def _first_of_each(q: Caller) -> dict[str, int]:
    made = {"crashed": _crashed(q)}  # first: upkeep promotes and expires as it goes
    worker = q.worker("default", "grouped")
    made["succeeded"] = q.enqueue()
    (job,) = q.claim(worker)
    q("log_lines", lease=job["lease"], job=job["id"], lines=Jsonb([{"message": "done"}]))
    q.settle([job], result={"ok": True})
    made["failed"] = q.enqueue()
    q.settle(q.claim(worker), "discard", error={"type": "Boom", "message": "no"})
    made["reported"] = q.enqueue(heartbeat="1 hour")
    (job,) = q.claim(worker)
    q("job_heartbeat", lease=job["lease"], job=job["id"], progress={"at": 1})
    q("cancel", id=job["id"])
    q.settle([job])
    made["watched"] = q.enqueue()
    q("watch", jobs=[made["watched"]], lasting="1 day", listening=False)
    q.settle(q.claim(worker))

    q("configure_queue", queue=GROUPED_QUEUE, settings={"group_limit": 1})
    q("configure_queue", queue="limited", settings={"max_running": 100000})
    made["admitted"] = q.enqueue(queue=GROUPED_QUEUE, group_key="one")
    made["held"] = q.enqueue(queue=GROUPED_QUEUE, group_key="one")
    q.settle(q.claim(worker, queues=[GROUPED_QUEUE]), "release")
    made["arrived"] = q.enqueue(queue=GROUPED_QUEUE, group_key="two")
    q("configure_queue", queue=GROUPED_QUEUE, settings={"group_limit": 50})

    made["queued"] = q.enqueue()
    made["mail"] = q.enqueue(queue="mail")
    made["wide"] = q.enqueue(queue="wide 0")
    lanes = [{"kind": "noop", "queue": "mail", "priority": priority} for priority in range(-2, 3)]
    lanes += [{"kind": "noop", "queue": f"wide {n}"} for n in range(WIDE_QUEUES)]
    lanes += [{"kind": "noop", "queue": "limited"}]
    q.sql("select count(*) from pgqueue.enqueue_many(%s)", Jsonb(lanes))
    made["later"] = q.enqueue(delay="1 hour")
    made["due"] = q.enqueue(delay="1 ms")
    made["keyed"] = q.enqueue(queue="keyed", unique_key="one")
    made["expiring"] = q.enqueue(queue="expiring", expires_in="1 hour")
    made["expired"] = q.enqueue(queue="expired", expires_in="1 ms")
    made["moved"] = q.enqueue(queue="moved")
    q("set_priority", id=made["moved"], priority=3)
    return made | _sql_jobs(q)


def _sql_jobs(q: Caller) -> dict[str, int]:
    """Scripts and queries that are done, and some that stand in line."""
    made = {}
    q("configure_queue", queue="scripts", settings={"max_running": None})
    worker = q.worker("scripts", "queries", "asked")
    made["scripted"] = q.value("submit_script", document=Jsonb(["select 1"]), owner="done")
    made["answered"] = q.one("submit_query", sql="select 1", owner="done")["id"]
    for job in q.claim(worker, queues=["scripts", "queries"]):
        orders = {"lease": job["lease"], "job": job["id"]}
        room = job["kind"].removeprefix("sql.")
        q(f"{room}_begin", **orders, backend_pid=1, backend_start="2026-01-01")
        if room == "query":
            q("query_describe", **orders, columns=Jsonb([{"name": "a", "type": "integer", "oid": 23}]))
            q("query_put", **orders, n=0, row_count=1, data="1\n")
        q(f"{room}_end", **orders)
        q.settle([job], result={})
    made["lined"] = q.value("submit_script", document=Jsonb(["select 1"]), owner="one")
    made["asked"] = q.one("submit_query", sql="select 2", owner="one", queue="asked")["id"]
    q.settle(q.claim(worker, queues=["scripts", "asked"]), "release")  # from the inbox to the line
    return made


def _crashed(q: Caller) -> int:
    """A job whose worker was lost."""
    lost = q.worker("crashed")
    job = q.enqueue(queue="crashed")
    q.claim(lost, queues=["crashed"])
    with q.connection.transaction():
        q.sql("select set_config('pgqueue.now', (now() + interval '2 days')::text, true)")
        q("maintain", duties=["rescue"])
    assert q.places() == {"suspect": 1, "crash": 1}
    return job


def _copy(q: Caller, template: int, ids: range, given: dict[str, int], columns: dict[str, str]) -> None:
    tables = q.sql(
        """select c.relname, array_agg(a.attname), array_agg(format_type(a.atttypid, a.atttypmod))
           from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
           where c.relnamespace = 'pgqueue'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
           group by c.relname
           having c.relname = 'job' or 'job_id' = any(array_agg(a.attname))"""
    )
    varying = _IDS | columns
    for table, names, types in tables:
        key = "id" if table == "job" else "job_id"
        values = [
            f"({varying[name]})::{kind}" if name in varying else f"t.{name}"
            for name, kind in zip(names, types, strict=True)
        ]
        q.sql(
            f"""insert into pgqueue.{table} ({", ".join(names)})
                select {", ".join(values)}
                from (select * from pgqueue.{table} t where t.{key} = {template}) t,
                  (select g, g - {ids.start} as i, {given["n"]} as n, {given["turns"]} as turns
                   from generate_series({ids.start}, {ids.stop - 1}) g) g""".replace("%", "%%")
        )


def _finish_the_first(q: Caller, until: int) -> None:
    """Those the copies were made of, and those that opened lanes: they would stand first in every queue."""
    for place in PLACES:
        q.sql(f"select pgqueue.cancel(w.job_id) from pgqueue.{place} w where w.job_id < %s", until)


def _hold(found: Population, each: int) -> None:
    """`each` leases more for every worker, of ten jobs each."""
    for worker in found.workers:
        for _ in range(each):
            found.q("enqueue_each", kind="noop", args=[{}] * 10, queue="leased")
            for job in found.q.claim(worker, 10, ["leased"]):
                found.leases.setdefault(job["lease"], []).append(job["id"])

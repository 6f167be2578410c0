"""The calls whose plans are guarded. Each is made in a transaction that is rolled back, and says what it asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from psycopg.types.json import Jsonb

from tests.plans.population import WIDE_QUEUES, Population
from tests.plans.rules import Demand
from tests.sql.calls import Caller, Row

Ids = Iterable[int] | None

# Leases are few, one for each claim in progress; these functions look through all of them.
LEASES = ("lease",)
BY_LEASE = dict.fromkeys(
    (
        "_lease_of",
        "_job_if_any",
        "log_lines",
        "_standing",
        "_room",
        "_any_live",
        "_duty_rescue",
        "_duty_overdue",
        "jobs",
        "_page_of_live",
        "_select_jobs",
        "_batch_runs",
        "_batch_state",
        "_why_batch",
        "_batch_info",
        "batch_status",
        "batch_list",
        "slow_query_status",
    ),
    LEASES,
)


@dataclass(frozen=True)
class Call:
    """`make` makes the call and returns the ids of the jobs concerned, or None when that is no set of jobs."""

    name: str
    make: Callable[[Caller, Population], Ids]
    asked: int
    seq: bool = False
    whole: dict[str, tuple[str, ...]] = field(default_factory=dict)
    repeats: int = 7  # after five, a plan may become generic
    vacuumed: tuple[str, ...] = ()  # tables in which other calls, rolled back, have left what this one would walk over

    def demand(self, partitions: frozenset[str] | None) -> Demand:
        return Demand(self.asked, partitions, self.seq, BY_LEASE | self.whole)


# Functions in which something is not as it should be yet. Whoever mends one takes its line out.
KNOWN: dict[str, str] = {}

CALLS: dict[str, Call] = {}
Maker = Callable[[Caller, Population], Ids]


def call(asked: int, **options: Any) -> Callable[[Maker], Maker]:
    def register(make: Maker) -> Maker:
        name = make.__name__.strip("_")
        CALLS[name] = Call(name, make, asked, **options)
        return make

    return register


def _ids(jobs: Iterable[Row]) -> list[int]:
    return [job["id"] for job in jobs]


# -- in --


@call(asked=1)
def enqueue(q: Caller, found: Population) -> Ids:
    return [q.enqueue(), q.enqueue(queue="mail", priority=2), q.enqueue(queue="wide 7", delay="1 hour")]


@call(asked=1)
def enqueue_with_everything(q: Caller, found: Population) -> Ids:
    taken = q.enqueue(queue="keyed", unique_key=f"key {found.one('keyed')}")
    return [
        taken,
        q.enqueue(queue="grouped", unique_key="new", group_key="group 1", timeout="1 min", expires_in="1 hour"),
    ]


@call(asked=100)
def enqueue_each(q: Caller, found: Population) -> Ids:
    return _ids(q("enqueue_each", kind="noop", args=[{}] * 100))


@call(asked=400)  # a hundred jobs, passed on with all their options
def enqueue_each_with_keys(q: Caller, found: Population) -> Ids:
    taken = [f"key {job}" for job in found.some("keyed", 50)]
    keys = taken + [f"new {n}" for n in range(50)]
    jobs = q("enqueue_each", kind="noop", args=[{}] * len(keys), queue="keyed", unique_keys=keys)
    return _ids(jobs)


@call(asked=400)  # a hundred jobs of several keys each
def enqueue_many(q: Caller, found: Population) -> Ids:
    jobs: list[dict[str, object]] = [{"kind": "noop", "priority": n % 3, "queue": f"wide {n}"} for n in range(80)]
    jobs += [{"kind": "noop", "queue": "grouped", "group_key": f"group {n}", "expires_in": 60} for n in range(20)]
    return [job for (job,) in q.sql("select id from pgqueue.enqueue_many(%s)", Jsonb(jobs))]


# -- out --


@call(asked=100)
def claim(q: Caller, found: Population) -> Ids:
    return _ids(q.claim(found.workers[0], 100))


@call(asked=1)
def claim_one(q: Caller, found: Population) -> Ids:
    return _ids(q.claim(found.workers[0], 1))


@call(asked=100, seq=True)
def claim_urgently(q: Caller, found: Population) -> Ids:
    return _ids(q.claim(found.workers[0], 100, urgent=True))


@call(asked=10_000, repeats=2)
def claim_ten_thousand(q: Caller, found: Population) -> Ids:
    return _ids(q.claim(found.workers[0], 10_000))


@call(asked=100)
def claim_from_several_lanes(q: Caller, found: Population) -> Ids:
    return _ids(q.claim(found.workers[0], 100, ["default", "mail", "moved"]))


@call(asked=WIDE_QUEUES, repeats=2)
def claim_from_hundreds_of_queues(q: Caller, found: Population) -> Ids:
    queues = [f"wide {n}" for n in range(WIDE_QUEUES)]
    return _ids(q.claim(found.workers[0], WIDE_QUEUES, queues))


@call(asked=1000, repeats=3)  # twice as many are admitted, and the slots of their groups counted
def claim_with_groups(q: Caller, found: Population) -> Ids:
    q.claim(found.workers[0], 100, ["grouped"])
    return None  # those that were admitted too are concerned


@call(asked=100)
def claim_under_max_running(q: Caller, found: Population) -> Ids:
    return _ids(q.claim(found.workers[0], 100, ["limited"]))


@call(asked=100)
def claim_under_a_rate(q: Caller, found: Population) -> Ids:
    q("configure_queue", queue="limited", settings={"rate_limit": 100000})
    return _ids(q.claim(found.workers[0], 100, ["limited"]))


@call(asked=4000, repeats=3)  # as claim_with_groups, and the slots of each group, a hundred at most
def claim_with_groups_that_take_turns(q: Caller, found: Population) -> Ids:
    # Not by configure_queue, which looks at all groups once.
    q.sql("update pgqueue.queue set fair = true, group_rate_limit = 100 where name = 'grouped'")
    q.claim(found.workers[0], 100, ["grouped"])
    return None


@call(asked=10)  # ten suspects are looked at
def claim_a_suspect(q: Caller, found: Population) -> Ids:
    return _ids(q.claim(found.workers[0], 100, ["default", "crashed"]))


@call(asked=1)
def claim_what_has_expired(q: Caller, found: Population) -> Ids:
    q.claim(found.workers[0], 1, ["expired"])
    return None


@call(asked=100)
def claim_from_an_empty_queue(q: Caller, found: Population) -> Ids:
    return _ids(q.claim(found.workers[0], 100, ["nothing"]))


# -- outcomes --


@call(asked=100)
def settle(q: Caller, found: Population) -> Ids:
    jobs = q.claim(found.workers[0], 100)
    assert q.settle(jobs, result={"ok": True}) == []
    return _ids(jobs)


@call(asked=10)
def settle_part_of_a_lease(q: Caller, found: Population) -> Ids:
    jobs = q.claim(found.workers[0], 20)
    assert q.settle(jobs[:10], result={"ok": True}) == []
    return _ids(jobs)


@call(asked=100)
def settle_with_traits(q: Caller, found: Population) -> Ids:
    jobs = q.claim(found.workers[0], 100, ["keyed", "moved"])
    assert q.settle(jobs) == []
    return _ids(jobs)


def _settle_as(outcome: str, **options: Any) -> None:
    @call(asked=100)
    def make(q: Caller, found: Population) -> Ids:
        jobs = q.claim(found.workers[0], 100, ["default", "keyed", "moved"])
        assert q.settle(jobs, outcome, **options) == []
        return _ids(jobs)

    del CALLS["make"]
    CALLS[f"settle_{outcome}"] = Call(f"settle_{outcome}", make, 100)


for _outcome in ("failed", "timeout", "discard"):
    _settle_as(_outcome, error={"type": "Boom", "message": "no"})
for _outcome in ("retry", "snooze"):
    _settle_as(_outcome, delay=60)
for _outcome in ("release", "cancelled"):
    _settle_as(_outcome)


@call(asked=1000, repeats=3)  # the slots of their groups are counted
def settle_with_groups(q: Caller, found: Population) -> Ids:
    q.settle(q.claim(found.workers[0], 20, ["grouped"]))
    return None


@call(asked=100)
def settle_while_somebody_waits(q: Caller, found: Population) -> Ids:
    jobs = q.claim(found.workers[0], 100)
    q("watch", jobs=_ids(jobs)[:10], lasting="1 minute")
    assert q.settle(jobs) == []
    q("unwatch")
    return _ids(jobs)


@call(asked=100)
def settle_without_history(q: Caller, found: Population) -> Ids:
    q("configure_queue", queue="default", settings={"history": "none"})
    jobs = q.claim(found.workers[0], 100)
    assert q.settle(jobs) == []
    return _ids(jobs)


@call(asked=100)
def settle_and_claim(q: Caller, found: Population) -> Ids:
    jobs = q.claim(found.workers[0], 100)
    claimed = q.sql(
        """select id
           from pgqueue.settle_and_claim(%s, %s::bigint[], %s::bigint[], %s::text[], null, null, null, %s, 100)
           where problem is null""",
        found.workers[0],
        [job["lease"] for job in jobs],
        _ids(jobs),
        ["succeeded"] * len(jobs),
        ["default"],
    )
    return _ids(jobs) + [job for (job,) in claimed]


# -- while it runs --


@call(asked=120)  # the jobs it holds
def worker_heartbeat(q: Caller, found: Population) -> Ids:
    worker = found.workers[3]
    q("worker_heartbeat", worker=worker, leases=[lease for (lease,) in _leases(q, worker)])
    return None


@call(asked=1)
def job_heartbeat(q: Caller, found: Population) -> Ids:
    lease, jobs = next(iter(found.leases.items()))
    assert q.one("job_heartbeat", lease=lease, job=jobs[0], progress={"at": 2})["alive"]
    return jobs


@call(asked=10)
def log_lines(q: Caller, found: Population) -> Ids:
    lease, jobs = next(iter(found.leases.items()))
    assert q.value("log_lines", lease=lease, job=jobs[0], lines=Jsonb([{"message": "so far"}] * 10)) == 10
    return jobs


@call(asked=200)  # the jobs it holds
def deregister_worker(q: Caller, found: Population) -> Ids:
    q("deregister_worker", worker=found.workers[3])
    return None


# -- one job --


def _one_job(name: str, kinds: Iterable[str], **arguments: Any) -> None:
    def each(kind: str) -> None:
        @call(asked=1)
        def make(q: Caller, found: Population) -> Ids:
            job = _running(found) if kind == "running" else found.one(kind)
            if name == "watch":
                q("watch", jobs=[job])
                q("unwatch")
            else:
                q(name, id=job, **arguments)
            return [job]

        del CALLS["make"]
        CALLS[f"{name}_{kind}"] = Call(f"{name}_{kind}", make, 1)

    for kind in kinds:
        each(kind)


_WAITING = ("queued", "later", "keyed", "arrived", "held", "crashed", "admitted", "sliced", "reserved", "waiting")
_one_job("cancel", (*_WAITING, "running", "succeeded"))
CALLS["cancel_admitted"] = replace(CALLS["cancel_admitted"], vacuumed=("blocked",))
_one_job("result", (*_WAITING, "running", "succeeded", "failed"))
_one_job("job", (*_WAITING, "running", "succeeded", "failed"))
_one_job("attempts", ("failed", "succeeded"))
_one_job("job_log", ("succeeded", "queued"))
_one_job("job_timeline", (*_WAITING, "running", "succeeded", "failed", "moved"))
_one_job("watch", ("queued", "running", "succeeded"))
_one_job("retry", ("failed",))
_one_job("set_priority", ("queued", "later", "arrived"), priority=7)
_one_job("reschedule", ("queued", "later"), run_at="2100-01-01")


# -- scripts and queries --


def _orders(job: Row) -> dict[str, Any]:
    return {"lease": job["lease"], "job": job["id"]}


def _begin(q: Caller, job: Row) -> Row:
    room = job["kind"].removeprefix("sql.")
    return q.one(f"{room}_begin", **_orders(job), backend_pid=1, backend_start="2026-01-01")


@call(asked=64)  # how many of its owner's wait is counted
def submit_script(q: Caller, found: Population) -> Ids:
    owner = q.sql("select owner from pgqueue.script where job_id = %s", found.one("lined"))[0][0]
    return [q.value("submit_script", document=Jsonb(["select 1", "select 2"]), owner=owner)]


@call(asked=1)
def submit_query(q: Caller, found: Population) -> Ids:
    asked = [q.one("submit_query", sql="select 7", owner="owner 3", max_age="1 hour", **more) for more in ({}, {})]
    return [row["id"] for row in asked]


@call(asked=100)  # so many of one identity are looked at
def submit_query_that_is_fresh(q: Caller, found: Population) -> Ids:
    query = "select pgqueue._fresh_result(identity, '2020-01-01') from pgqueue.query where job_id = %s"
    assert q.sql(query, found.one("answered"))[0][0] is not None
    return None


@call(asked=40)  # owners, and the first of each
def claim_turns(q: Caller, found: Population) -> Ids:
    return _ids(q.claim(found.workers[0], 20, ["scripts"]))


@call(asked=40)
def claim_turns_by_weight_and_rate(q: Caller, found: Population) -> Ids:
    """What owners have of their own, and what they have started: looked up for those whose turn it is."""
    q.sql("update pgqueue.queue set group_rate_limit = 100, own_groups = true where name = 'scripts'")
    q.sql(
        """insert into pgqueue.group_setting (queue, group_key, weight, rate_limit, updated_at)
           select 'scripts', 'owner ' || i, 3, 50, now() from generate_series(0, 2000) i on conflict do nothing"""
    )
    return _ids(q.claim(found.workers[0], 20, ["scripts"]))


@call(asked=60)  # of each owner, as many as it might be given
def claim_turns_of_queries(q: Caller, found: Population) -> Ids:
    return _ids(q.claim(found.workers[0], 20, ["asked"]))


@call(asked=1)
def a_turn_of_a_script(q: Caller, found: Population) -> Ids:
    (job,) = q.claim(found.workers[0], 1, ["scripts"])
    assert _begin(q, job)["unit"] == "query"
    assert q.one("script_end", **_orders(job))["verdict"] == "succeeded"
    assert q.settle([job]) == []
    return [job["id"]]


@call(asked=1)
def a_turn_that_is_given_back(q: Caller, found: Population) -> Ids:
    (job,) = q.claim(found.workers[0], 1, ["scripts"])
    _begin(q, job)
    assert q.settle([job], "release") == []
    return [job["id"]]


@call(asked=1)
def a_query(q: Caller, found: Population) -> Ids:
    (job,) = q.claim(found.workers[0], 1, ["asked"])
    _begin(q, job)
    q("query_describe", **_orders(job), columns=Jsonb([{"name": "a", "type": "integer", "oid": 23}]))
    for n in range(3):
        q("query_put", **_orders(job), n=n, row_count=1, data="1\n")
    q("query_end", **_orders(job))
    assert q.settle([job]) == []
    return [job["id"]]


for _function in ("script_report", "cancel_script"):
    _one_job(_function, ("lined",))
_one_job("script_report", ("scripted",))
_one_job("query_status", ("asked", "answered"))
_one_job("query_columns", ("answered",))
_one_job("query_batch", ("asked", "answered"), n=0)
_one_job("cancel_query", ("asked",), as_owner=None)
_one_job("cancel", ("lined", "asked"))
_one_job("job", ("lined",))
_one_job("result", ("lined",))
_one_job("set_priority", ("lined",), priority=7)


@call(asked=10)
def scripts(q: Caller, found: Population) -> Ids:
    q("scripts", max=10)
    q("scripts", owner="owner 7", max=10)
    return None


@call(asked=1)
def scripts_running(q: Caller, found: Population) -> Ids:
    q("scripts_running")
    return None


# -- pages and counts --


def _page(name: str, asked: int = 10, **arguments: Any) -> None:
    @call(asked=asked)
    def make(q: Caller, found: Population) -> Ids:
        q("jobs", max=10, **arguments)
        return None

    del CALLS["make"]
    CALLS[name] = Call(name, make, asked, repeats=6)


_page("jobs_newest")
_page("jobs_before", before=3_000_100)
for _state in ("scheduled", "held", "running", "succeeded"):
    _page(f"jobs_{_state}", state=_state)
_page("jobs_queued", asked=25_000, state="queued")  # jobs at a later turn stand among those at their first


@call(asked=10, repeats=6)
def jobs_failed(q: Caller, found: Population) -> Ids:
    until = found.ids["failed"].stop  # above are failures that other calls rolled back
    q("jobs", max=10, state="failed", before=until)
    return None


@call(asked=2 * WIDE_QUEUES, whole={"queues": ("*",)}, repeats=1)
def queues(q: Caller, found: Population) -> Ids:
    q("queues")
    return None


@call(asked=50, whole={"why": ("*",), "_why_behind": ("*",)}, repeats=1)  # how many are ahead is counted
def why(q: Caller, found: Population) -> Ids:
    q.value("why", id=found.one("queued"))
    return None


@call(asked=250)  # workers and their leases
def workers(q: Caller, found: Population) -> Ids:
    q("workers")
    return None


@call(asked=1000)
def throughput(q: Caller, found: Population) -> Ids:
    q("throughput")
    q("throughput", queue="default", by_kind=True, step="1 hour")
    return None


# -- upkeep --


@call(asked=20)  # others may have left dead entries at the head
def next_due(q: Caller, found: Population) -> Ids:
    q("next_due")
    return None


def _duty(duty: str, asked: int, **options: Any) -> None:
    @call(asked=asked)
    def make(q: Caller, found: Population) -> Ids:
        (row,) = q("maintain", duties=[duty])
        assert row["error"] is None, row
        return None

    del CALLS["make"]
    CALLS[f"maintain_{duty}"] = Call(f"maintain_{duty}", make, asked, **options)


_duty("promote", 5000, repeats=2)
_duty("expire", 1000, repeats=1)
_duty("dependents", 6000, repeats=2)  # five thousand, each looked up in two large tables
# A thousand of the blocked of each queue that has no limit: there are none but when one has just been taken away.
_duty("admit", 1000, repeats=2, whole={"_duty_admit": ("blocked",)})
_duty("rescue", 1000, repeats=2)
_duty("results", 4000, repeats=2)
_duty(
    "metrics", 100_000, repeats=2, whole={"_count_outcomes": ("outcome",)}
)  # autovacuum, which is off, tells its pages
_duty("tidy", 5000, repeats=2, whole={"_duty_tidy": ("lane",)})
_duty("retention", 1000, repeats=2, whole={"_duty_retention": ("*",), "_thin": ("*",)})  # looks through one block
_duty("blocks", 1000, repeats=2)


def _leases(q: Caller, worker: int) -> list[Any]:
    return q.sql("select l.id from pgqueue.lease l where l.worker_id = %s", worker)


def _running(found: Population) -> int:
    return next(reversed(found.leases.values()))[0]

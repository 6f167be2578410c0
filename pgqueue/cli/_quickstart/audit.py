"""The counting after the fact. What the queue says happened is held against two witnesses: the list of what was
enqueued, and the ledgers in which the workers noted every start and end of a job.

lost        enqueued, but without a trustworthy end: no final state, given up because of lost workers or time, said to
have succeeded
            though no worker ever came to the end of it, or carrying the result of another file.
duplicated  counted more often than once: two accepted outcomes for one job, two jobs with the result of one file, or an
execution that
            no loss of a worker explains (a job may start once, and once more for each worker that was lost with it).
recovered   held by the killed worker when it died, ended through another one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgqueue.cli._quickstart.app import KIND
from pgqueue.cli._quickstart.crew import Crew
from pgqueue.cli._quickstart.run import Course, connection_of
from pgqueue.errors import PermissionDenied

if TYPE_CHECKING:
    from pgqueue import Client
    from pgqueue.models import JobSummary


@dataclass(frozen=True)
class Findings:
    """The numbers of the `--json` line, and what the report tells besides."""

    files: int
    succeeded: int
    failed: int
    recovered: int
    lost: int
    duplicated: int
    started_twice: int
    seconds: float
    jobs_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    enqueue_p50_ms: float | None
    run_p50_ms: float | None
    run_p99_ms: float | None


def percentile(values: Sequence[float], share: float) -> float | None:
    """Nearest rank: a value that was measured, never one in between. None of nothing."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def examine(client: Client, crew: Crew, course: Course) -> Findings:
    """Count. Calls jobs(), result(), attempts() and, where this role may, reads the table `outcome`."""
    jobs = {job.id: job for job in _all_jobs(client, course.queue)}
    final = {id: job for id, job in jobs.items() if job.finished_at is not None}
    results = _results(client, [id for id, job in final.items() if job.state == "succeeded"])
    starts, ends = crew.starts(), crew.ends()
    lost = _lost(course, final, results, ends)
    times = [(job.claimed_at, job.finished_at) for job in final.values() if job.state == "succeeded"]
    ran = [(end - begin).total_seconds() * 1000 for begin, end in times if begin is not None and end is not None]
    seconds = _seconds(jobs.values())
    held = course.accident.held if course.accident else []
    killed = course.accident.worker_id if course.accident else None
    return Findings(
        files=len(course.files),
        succeeded=sum(job.state == "succeeded" for job in final.values()),
        failed=sum(job.state == "failed" for job in final.values()),
        recovered=sum(id in final and id not in lost and final[id].worker_id not in (None, killed) for id in held),
        lost=len(lost),
        duplicated=len(_duplicated(client, course, results, starts)),
        started_twice=sum(n > 1 for n in starts.values()),
        seconds=round(seconds, 3),
        jobs_per_s=round(len(final) / seconds, 1) if seconds else 0.0,
        p50_ms=_rounded(percentile([pickup.started_ms for pickup in course.pickups], 0.50)),
        p99_ms=_rounded(percentile([pickup.started_ms for pickup in course.pickups], 0.99)),
        enqueue_p50_ms=_rounded(percentile([pickup.enqueued_ms for pickup in course.pickups], 0.50)),
        run_p50_ms=_rounded(percentile(ran, 0.50)),
        run_p99_ms=_rounded(percentile(ran, 0.99)),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _seconds(jobs: Any) -> float:
    """From the enqueueing to the last outcome, both by the server's clock."""
    begun = [job.created_at for job in jobs]
    ended = [job.finished_at for job in jobs if job.finished_at is not None]
    return float((max(ended) - min(begun)).total_seconds()) if begun and ended else 0.0


def _all_jobs(client: Client, queue: str) -> Iterator[JobSummary]:
    before = None
    while page := client.jobs(queue=queue, kind=KIND, before=before, max=1000):
        yield from page
        before = page[-1].id


def _results(client: Client, ids: list[int]) -> dict[int, Any]:
    statement = (
        f"select i.id, r.result from unnest(%(ids)s::bigint[]) i(id) cross join lateral {client.schema}.result(i.id) r"
    )
    return dict(connection_of(client).execute(statement.encode(), {"ids": ids}).fetchall())


def _lost(course: Course, final: dict[int, JobSummary], results: dict[int, Any], ends: Counter[int]) -> set[int]:
    lost = set()
    for id, file in zip(course.ids, course.files, strict=True):
        job = final.get(id)
        if (
            job is None
            or (job.state != "succeeded" and job.reason != "error")
            or (job.state == "succeeded" and (ends[id] == 0 or (results.get(id) or {}).get("file") != file))
        ):
            lost.add(id)
    return lost


def _duplicated(client: Client, course: Course, results: dict[int, Any], starts: Counter[int]) -> set[int]:
    twice = {id for id, n in _outcomes(client, course.ids).items() if n > 1}
    by_file = Counter(result["file"] for result in results.values() if isinstance(result, dict) and "file" in result)
    twice |= {id for id, result in results.items() if isinstance(result, dict) and by_file[result.get("file")] > 1}
    for id, n in starts.items():
        if n > 1 and id in set(course.ids):
            excused = sum(attempt.reason == "worker_lost" for attempt in client.attempts(id))
            if n > 1 + excused:
                twice.add(id)
    return twice


def _outcomes(client: Client, ids: list[int]) -> dict[int, int]:
    """Accepted outcomes per job, as stored. A role that may only call functions cannot look; the other two witnesses
    remain.
    """
    from psycopg import errors

    statement = f"select job_id, count(*) from {client.schema}.outcome where job_id = any(%(ids)s) group by job_id"
    try:
        return dict(connection_of(client).execute(statement.encode(), {"ids": ids}).fetchall())
    except (errors.InsufficientPrivilege, PermissionDenied):
        return {}

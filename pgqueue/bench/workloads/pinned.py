"""Another session holds a snapshot, as a long report does: nothing that died since can be vacuumed away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import mean, median

from pgqueue.bench._base import Bench, Figure, Points

NAME = "pinned"
SUMMARY = "claims while another session holds a snapshot: 6 small rounds, then a million jobs in all"

FEW, FLOOR_FEW = 6, 0.9
FLOOR_MANY = 0.7
_YARDSTICK = 20_000


@dataclass
class Course:
    """Rounds in order. `shares` are their rates against a yardstick of constant work measured before and after each."""

    bench: Bench
    done: int = 0
    dead: int = 0
    rates: Points = field(default_factory=Points)
    shares: list[float] = field(default_factory=list[float])
    spent: list[float] = field(default_factory=list[float])
    yardsticks: list[float] = field(default_factory=list[float])

    def round(self, jobs: int) -> None:
        """Enqueue so many, claim and settle them all."""
        if not self.yardsticks:
            self.yardsticks.append(self._yardstick())
        self.bench.enqueue(jobs)
        rate = self.bench.drain(jobs)
        spent = self.bench.last.server_us
        self.done += jobs
        self.yardsticks.append(self._yardstick())
        self.rates.append((self.done, rate))
        self.shares.append(rate / mean(self.yardsticks[-2:]))
        if spent is not None:
            self.spent.append(spent)

    def _yardstick(self) -> float:
        """The bare table suffers from the snapshot too: so it is made anew, and always gets the same work."""
        bench = self.bench
        bench.execute(f"truncate {bench.limit_schema}.bare")
        bench.limit_enqueue(_YARDSTICK)
        return bench.limit_drain(_YARDSTICK)


def run(bench: Bench) -> Iterator[Figure]:
    """Rounds without a snapshot, then under one: a few, again and again, and at last very many."""
    small = max(bench.batch, bench.jobs // 10 // bench.batch * bench.batch)
    bench.empty()
    free = Course(bench)
    for _ in range(FEW):
        bench.say(f"without a snapshot held: {small:,} jobs …")
        free.round(small)
    bench.verify(free.done)
    courses = [_held(bench, small, FEW * small) for _ in range(bench.rounds - 1)]
    courses.append(_held(bench, small, 5 * bench.jobs))

    # Of the rounds that are alike the median: one of them lasts less than a second.
    first = median(course.shares[0] for course in courses)
    long = courses[-1]
    yield Figure(
        NAME,
        "no snapshot held",
        value=median(rate for _, rate in free.rates[1:]),
        unit="jobs/s",
        limit=median(free.yardsticks),
        ratio=median(free.shares[1:]),
    )
    yield Figure(
        NAME,
        f"after {FEW} rounds of {small:,}",
        value=median(course.rates[FEW - 1][1] for course in courses),
        unit="jobs/s",
        limit=median(yard for course in courses for yard in course.yardsticks[FEW - 1 : FEW + 1]),
        ratio=median(course.shares[FEW - 1] / course.shares[0] for course in courses),
        of="round one",
        floor=FLOOR_FEW,
        details={
            "ratio_to_unpinned": _cheaper(
                free.spent[1:], [us for course in courses for us in course.spent[FEW - 1 : FEW]]
            ),
            "server_us_per_job_by_round": [
                round(median(each), 1) for each in zip(*(course.spent[:FEW] for course in courses), strict=True)
            ],
        },
    )
    yield Figure(
        NAME,
        f"after {long.done:,} jobs",
        value=median(rate for _, rate in long.rates[-2:]),
        unit="jobs/s",
        limit=median(long.yardsticks[-3:]),
        ratio=median(long.shares[-2:]) / first,
        of="round one",
        floor=FLOOR_MANY,
        details={
            "ratio_to_unpinned": _cheaper(free.spent[1:], long.spent[-2:]),
            "dead_rows_in_ready": long.dead,
            "server_us_per_job_by_round": [round(us, 1) for us in long.spent],
        },
        series={"claim and settle, snapshot held": long.rates},
        axes=("jobs done", "jobs/s"),
    )


def _held(bench: Bench, small: int, most: int) -> Course:
    """Six small rounds under a snapshot, then large ones, until it is `most` in all."""
    bench.empty()
    course = Course(bench)
    sizes = [small] * FEW
    rest = (most - FEW * small) // bench.batch
    rounds = -(-rest * bench.batch // bench.jobs)
    sizes += [(rest * (n + 1) // rounds - rest * n // rounds) * bench.batch for n in range(rounds)]
    with bench.pinned():
        for jobs in sizes:
            bench.say(f"under a held snapshot: {jobs:,} jobs after {course.done:,} …")
            course.round(jobs)
        course.dead = int(
            bench.value(
                "select coalesce(sum(n_dead_tup), 0) from pg_stat_user_tables where relid = %s::regclass",
                f"{bench.schema}.ready",
            )
        )
    bench.verify(course.done)
    return course


def _cheaper(before: list[float], after: list[float]) -> float | None:
    """Server time per job as a ratio: the snapshot slows the yardstick down as well, so that says nothing here."""
    return round(median(before) / median(after), 3) if before and after else None

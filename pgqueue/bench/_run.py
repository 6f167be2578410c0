"""Finding workloads and running them."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module

from pgqueue.bench import workloads as package
from pgqueue.bench._base import Bench
from pgqueue.bench._figure import Figure
from pgqueue.bench._place import SCHEMA, place
from pgqueue.errors import InvalidArgument

ORDER = (
    "limit", "enqueue", "claim", "worker", "latency", "backlog", "pinned", "soak", "wal", "notify", "wide",
    "groups", "big", "exact", "sql", "rows", "keyed",
)  # fmt: skip
"""As they are run and listed; what is not named here comes after."""


@dataclass(frozen=True)
class Workload:
    """A module of `workloads/`."""

    name: str
    summary: str
    run: Callable[[Bench], Iterator[Figure]]


@dataclass(frozen=True)
class Sizes:
    """How much is done: jobs in a round, seconds where time is the measure. None is the default, less with `quick`."""

    jobs: int | None = None
    seconds: float | None = None
    quick: bool = False

    def apply(self, bench: Bench) -> None:
        """Set them; jobs become a whole number of batches."""
        jobs = self.jobs or (20_000 if self.quick else 200_000)
        bench.jobs = max(1, round(jobs / bench.batch)) * bench.batch
        bench.seconds = self.seconds or (3.0 if self.quick else 10.0)


def available(names: Sequence[str] = ()) -> list[Workload]:
    """Those of these names, or all, in their order. Raises InvalidArgument for a name that is none."""
    found = [module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_")]
    found.sort(key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    for name in names:
        if name not in found:
            raise InvalidArgument(f"there is no workload {name!r}", f"There are {', '.join(found)}.")
    return [_load(name) for name in found if not names or name in names]


def _load(name: str) -> Workload:
    module = import_module(f"{package.__name__}.{name}")
    return Workload(module.NAME, module.SUMMARY, module.run)


def run(
    names: Sequence[str] = (),
    *,
    dsn: str | None = None,
    schema: str = SCHEMA,
    sizes: Sizes | None = None,
    force: bool = False,
    say: Callable[[str], None] = lambda text: None,
    began: Callable[[Workload], None] = lambda workload: None,
    each: Callable[[Figure], None] = lambda figure: None,
) -> list[Figure]:
    """Run the workloads (all of them when none is named) and return their figures.

    Without a DSN on a server of its own, which is gone afterwards; else on copies of the schema of its own in that
    database, gone afterwards too. say: what goes on, line by line. began, each: called before a workload, and for every
    figure as soon as it is known.

    Raises WrongCounts when a round left the wrong number of jobs, InvalidArgument for unknown names and taken schemas,
    and what starting a server, connecting and installing raise.
    """
    chosen = available(names)
    sizes = sizes or Sizes()
    figures: list[Figure] = []
    with place(dsn, schema, force=force, say=say) as where:
        say(where.what)
        with Bench(where.dsn, where.schema, quick=sizes.quick, say=say) as bench:
            sizes.apply(bench)
            for workload in chosen:
                began(workload)
                bench.empty()
                for figure in workload.run(bench):
                    figures.append(figure)
                    each(figure)
    return figures

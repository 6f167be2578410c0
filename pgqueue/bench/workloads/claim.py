"""Claim and settle through SQL: what a worker in any language does, without the worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pgqueue.bench import Bench, Figure

NAME = "claim"
SUMMARY = "claim and settle in batches of 100: in two calls and chained in one, with history and without"


def run(bench: Bench) -> Iterator[Figure]:
    """Every round fills the queue and empties it; only the emptying is measured."""

    def own(chained: bool, history: bool) -> Callable[[], float]:
        def round() -> float:
            bench.empty()
            bench.configure_queue("default", history="all" if history else "none")
            bench.enqueue(bench.jobs)
            rate = bench.drain(bench.jobs, chained=chained)
            bench.verify(bench.jobs, history=history)
            return rate

        return round

    def limit() -> float:
        bench.empty()
        bench.limit_enqueue(bench.jobs)
        return bench.limit_drain(bench.jobs)

    ways = {
        f"{'chained' if chained else 'two calls'}, {'with' if history else 'without'} history": (chained, history)
        for history in (True, False)
        for chained in (False, True)
    }
    rounds = bench.interleave({name: own(*way) for name, way in ways.items()}, limit)
    for name, (_, history) in ways.items():
        yield rounds.figure(NAME, name, floor=0.60 if history else 0.65, details={"batch": bench.batch})

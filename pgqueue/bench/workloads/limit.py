"""What this database can do at most: the bare table that everything else is held against."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from pgqueue.bench import Bench, Figure
from pgqueue.bench._load import Load

NAME = "limit"
SUMMARY = "a bare table with SKIP LOCKED, nothing kept: enqueue and drain in batches of 100 on 4 connections"


def run(bench: Bench) -> Iterator[Figure]:
    """Rounds of the limit alone: how much it wobbles says how much other figures may."""
    rates: dict[str, list[float]] = {"enqueue": [], "drain": []}
    loads: dict[str, Load] = {}
    for _ in range(bench.rounds):
        bench.empty()
        rates["enqueue"].append(bench.limit_enqueue(bench.jobs))
        loads["enqueue"] = bench.last
        rates["drain"].append(bench.limit_drain(bench.jobs))
        loads["drain"] = bench.last
    for name, values in rates.items():
        share, cost = loads[name].client_share, loads[name].server_us
        yield Figure(
            NAME,
            name,
            round(median(values), 1),
            "jobs/s",
            details={
                "rounds": [round(value) for value in values],
                "connections": bench.connections,
                "batch": bench.batch,
                "client_cpu_share": None if share is None else round(share, 3),
                "server_us_per_job": None if cost is None else round(cost, 2),
            },
            series={name: [(float(n + 1), value) for n, value in enumerate(values)]},
            axes=("round", "jobs/s"),
        )

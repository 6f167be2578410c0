"""Rounds of pgqueue and of the limit, in turn: what becomes of them is a figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import mean, median
from typing import TYPE_CHECKING

from pgqueue.bench._figure import Figure
from pgqueue.bench._load import Load
from pgqueue.models import JSON

if TYPE_CHECKING:
    from pgqueue.bench._base import Bench


@dataclass
class Rounds:
    """Rates of each round, ours by name, with the load that made the latest; and each round's ratio to the mean of the
    limits before and after it.
    """

    values: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    ratios: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    loads: dict[str, Load] = field(default_factory=dict[str, Load])
    limits: list[float] = field(default_factory=list[float])
    limit_load: Load | None = None

    @property
    def medians(self) -> dict[str, float]:
        """By name, the median of each round's ratio."""
        return {name: median(each) for name, each in self.ratios.items()}

    def figure(
        self,
        workload: str,
        name: str,
        *,
        unit: str = "jobs/s",
        floor: float | None = None,
        details: Mapping[str, JSON] | None = None,
    ) -> Figure:
        """The medians, with all rounds and the use of processors in the details."""
        values, ratios = self.values[name], self.ratios[name]
        load, limit = self.loads[name], self.limit_load
        found: dict[str, JSON] = {
            "rounds": [round(value) for value in values],
            "limit_rounds": [round(value) for value in self.limits],
            "ratios": [round(ratio, 3) for ratio in ratios],
            "connections": load.connections,
            "client_cpu_share": _rounded(load.client_share, 3),
            "server_us_per_job": _rounded(load.server_us, 2),
            "limit_client_cpu_share": _rounded(limit.client_share, 3) if limit else None,
            "limit_server_us_per_job": _rounded(limit.server_us, 2) if limit else None,
            "server_cpu_ratio": _ratio(limit.server_us if limit else None, load.server_us),
            **(details or {}),
        }
        return Figure(
            workload,
            name,
            round(median(values), 1),
            unit,
            limit=round(median(self.limits), 1),
            ratio=round(self.medians[name], 3),
            floor=floor,
            details=found,
            series={
                name: [(float(n + 1), value) for n, value in enumerate(values)],
                **self.limit_series(len(values)),
            },
            axes=("round", unit),
        )

    def limit_series(self, rounds: int) -> dict[str, list[tuple[float, float]]]:
        """The limit's rounds, spread over those of ours between which they ran."""
        step = rounds / max(len(self.limits) - 1, 1)
        return {"limit": [(0.5 + n * step, value) for n, value in enumerate(self.limits)]}


def interleave(bench: Bench, own: Mapping[str, Callable[[], float]], limit: Callable[[], float], rounds: int) -> Rounds:
    """See Bench.interleave."""
    found = Rounds({name: [] for name in own}, {name: [] for name in own})

    def measure_limit() -> None:
        found.limits.append(limit())
        found.limit_load = bench.last
        bench.say(f"limit: {found.limits[-1]:,.0f}")

    measure_limit()
    turns = [(name, each) for _ in range(rounds) for name, each in own.items()]
    together = 1 if len(own) == 1 else 2
    for start in range(0, len(turns), together):
        group = []
        for name, each in turns[start : start + together]:
            group.append((name, each()))
            found.values[name].append(group[-1][1])
            found.loads[name] = bench.last
            bench.say(f"{name}: {group[-1][1]:,.0f}")
        measure_limit()
        for name, value in group:
            found.ratios[name].append(value / mean(found.limits[-2:]))
    return found


def _ratio(limit: float | None, own: float | None) -> float | None:
    """The same ratio by the server's use of processors, which what else the machine does hardly touches."""
    return None if not limit or not own else round(limit / own, 3)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)

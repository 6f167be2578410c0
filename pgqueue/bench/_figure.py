"""What a workload gives: a number, and what it is to be held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pgqueue.models import JSON

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Figure:
    """One measured number, and what it is to be held against.

    limit: the same of the bare table, measured in the same run. ratio: value / limit, or what `of` says. floor: what
    the ratio is to reach, or the value where there is no ratio; `at_most` makes it a ceiling of the value. series and
    axes (what x and y are) are for pictures.
    """

    workload: str
    name: str
    value: float
    unit: str
    limit: float | None = None
    ratio: float | None = None
    of: str = "limit"
    floor: float | None = None
    at_most: bool = False
    details: Mapping[str, JSON] = field(default_factory=dict[str, JSON])
    series: Mapping[str, Points] = field(default_factory=dict[str, Points])
    axes: tuple[str, str] = ("", "")

    @property
    def holds(self) -> bool | None:
        """Whether the floor is reached; None where there is none."""
        if self.floor is None:
            return None
        if self.at_most:
            return self.value <= self.floor
        return (self.value if self.ratio is None else self.ratio) >= self.floor

"""What `@app.cron(...)` declares, and how a worker words it for `sync_schedules`.

A declaration is put together when a worker asks for it, not when the module is imported: by then the function is a
task, whichever decorator stood above the other, and one that is wrong is reported by its name and stops nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from pgqueue._json import dumps
from pgqueue._literals import ENCODERS
from pgqueue.errors import InvalidArgument
from pgqueue.models import JSON
from pgqueue.task import Task

__all__ = ["Cron", "Missed", "declarations"]

Missed: TypeAlias = Literal["skip", "one", "all"]
"""What becomes of ticks that are more than a minute late: none of them, one job for all, a job for each."""

_SPANS = ("timeout", "expires_in", "heartbeat", "unique_for")


@dataclass(frozen=True, slots=True)
class Cron:
    """One declaration; `target` is a task or the function that is one."""

    target: Task[..., Any] | Callable[..., Any]
    cron: str
    name: str | None
    args: Mapping[str, Any]
    time_zone: str
    missed: Missed
    starts_at: datetime | None
    ends_at: datetime | None

    def task(self, tasks: Mapping[str, Task[..., Any]]) -> Task[..., Any]:
        """The task it schedules. Raises InvalidArgument when the function is none."""
        if isinstance(self.target, Task):
            return self.target
        found = [task for task in tasks.values() if task.fn is self.target]
        if not found:
            raise InvalidArgument(f"{self.target!r} is no task of this App", "decorate it with @app.task too")
        return found[0]

    def document(self, task: Task[..., Any]) -> dict[str, JSON]:
        """The element of `sync_schedules`. Raises InvalidArgument, and what a key's function raises."""
        made = task.for_schedule(self.args)
        for name in _SPANS:
            made[name] = ENCODERS["interval"](name, made[name])
        made |= {
            "name": self.name or task.kind,
            "cron": self.cron,
            "kind": task.kind,
            "time_zone": self.time_zone,
            "missed": self.missed,
            "starts_at": ENCODERS["timestamptz"]("starts_at", self.starts_at),
            "ends_at": ENCODERS["timestamptz"]("ends_at", self.ends_at),
        }
        made = {key: value for key, value in made.items() if value is not None}
        dumps(made, "the schedule")
        return made


def declarations(crons: list[Cron], tasks: Mapping[str, Task[..., Any]]) -> list[dict[str, JSON]]:
    """All of them, those that cannot be made with why not, so that the schedule they once made stays."""
    made: list[dict[str, JSON]] = []
    for cron in crons:
        name = cron.name or getattr(cron.target, "kind", None) or getattr(cron.target, "__name__", "?")
        try:
            task = cron.task(tasks)
            name = cron.name or task.kind
            made.append(cron.document(task))
        except Exception as error:  # a key's function is the user's: it may raise anything
            made.append({"name": name, "refused": f"{type(error).__name__}: {error}"})
    return made

"""What a worker tells whoever runs it inside their own program: tests, the quickstart, a supervisor.

An event is a name and a few facts. The hook is called on the worker's event loop, between two steps of it: it must
not block. Events that happen for every job (`job_started`, `job_ended`) cost nothing when there is no hook.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = ["Event", "Hook", "Teller"]

logger = logging.getLogger("pgqueue.worker")


@dataclass(frozen=True, slots=True)
class Event:
    """`name` says what happened, `facts` with what.

    Life: registered(worker_id), heartbeat(worker_id), lost(worker_id) or lost(lease), stopping(why), gave_up(why),
    stopped(why).
    Waking: listening, polling(why), asleep, awake, idle. Upkeep: leading, following. Connections: disconnected(link),
    connected(link).
    Schedules: scheduled(added, changed, unchanged, removed, refused), each a list of names.
    Jobs: claimed(jobs), job_started(job_id, kind), cancelling(job_id, why), stuck(job_id, kind), unstuck(job_id),
    job_ended(job_id, kind, outcome), settled(jobs), refused(job_id, problem). Event loop: blocked(seconds),
    unblocked(seconds). Supervisor: child_started(number, pid), child_ended(number, pid, code).
    """

    name: str
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])


Hook: TypeAlias = Callable[[Event], None]


class Teller:
    """Calls the hook, if there is one, and survives it."""

    __slots__ = ("hook",)

    def __init__(self, hook: Hook | None = None) -> None:
        self.hook = hook

    def __call__(self, name: str, **facts: Any) -> None:
        if self.hook is None:
            return
        try:
            self.hook(Event(name, facts))
        except Exception:
            logger.exception("the on_event hook raised", extra={"event": name})

"""The functions of jobs that depend on each other, as `pgqueue._calls.Calls` offers them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from pgqueue import models
from pgqueue._calls_base import BaseCalls, Call, many, one
from pgqueue._literals import ENCODERS
from pgqueue.errors import InvalidArgument
from pgqueue.models import JSON

__all__ = ["ComposeCalls", "FollowUps", "plain_follow_ups", "plain_job"]

FollowUps: TypeAlias = "Mapping[str, JSON] | Sequence[Mapping[str, JSON]]"
"""A job as enqueue_many takes it, with `pass_as`: the argument that receives the result or the error; or several."""

_TIMESPANS = frozenset({"delay", "timeout", "expires_in", "heartbeat", "unique_for"})


class ComposeCalls(BaseCalls):
    """Parents and children."""

    def parents(self, id: int, after: int = 0, max: int = 1000) -> Call[list[models.ParentResult]]:
        """The jobs this one depends on and how they ended, by id; the next page comes `after` the last id of this one.
        Raises UnknownJob.
        """
        return self._call("parents", many(models.ParentResult), locals())

    def children(self, id: int, after: int = 0, max: int = 1000) -> Call[list[models.ChildJob]]:
        """The jobs that depend on this one, by id, in pages. Raises UnknownJob."""
        return self._call("children", many(models.ChildJob), locals())

    def group_status(self, id: int) -> Call[models.GroupStatus]:
        """How many jobs this one depends on, and how many of them have ended in which way. Raises UnknownJob."""
        return self._call("group_status", one(models.GroupStatus), locals())


def plain_job(job: Mapping[str, JSON]) -> dict[str, JSON]:
    """An element of enqueue_many as JSON: times and time spans become text."""
    plain = dict(job)
    for key in job:
        given: Any = job[key]
        if given is None:
            continue
        if key in _TIMESPANS:
            plain[key] = ENCODERS["interval"](key, given) if not isinstance(given, str) else given
        elif key == "run_at" and isinstance(given, datetime):
            plain[key] = ENCODERS["timestamptz"](key, given)
        elif key in ("depends_on", "unique_by") and not isinstance(given, str):
            plain[key] = list(given)
        elif key in ("on_success", "on_error"):
            plain[key] = plain_follow_ups(key, job[key])
    return plain


def plain_follow_ups(name: str, given: FollowUps | None) -> JSON:
    """Follow-ups as JSON. Raises InvalidArgument."""
    if given is None:
        return None
    if isinstance(given, Mapping):
        return plain_job(given)
    if not isinstance(given, list | tuple) or not all(isinstance(each, Mapping) for each in given):
        raise InvalidArgument(
            f"{name} takes a mapping or several, such as {{'kind': 'notify'}}",
            "A call of a task, such as notify.s(result), goes into the options of a task.",
        )
    return [plain_job(each) for each in given]

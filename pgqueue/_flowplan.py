"""From steps to statements: the jobs of a flow in an order in which each comes after those it depends on, cut into
slices that are worth a statement. No I/O; the sending is `pgqueue._async.flow`.

A job is known by its position until the server has given it an id. Within a slice a job names another one by a `ref`,
later by its id; so a small flow is one statement, and a large one takes no more memory than its ids.
"""

from __future__ import annotations

from array import array
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pgqueue._bulk import MOST_CHARACTERS, HookedItem, Slice
from pgqueue._calls import Call, Calls, Row
from pgqueue._json import loads
from pgqueue._parents import Sources, sources_of, with_sources
from pgqueue.errors import InvalidArgument
from pgqueue.models import JSON, Enqueued, OnParentFailure

if TYPE_CHECKING:
    from pgqueue._hooks import AppHooks
    from pgqueue.flow import BoundCall

__all__ = ["Before", "Element", "Numbers", "Plan", "check_pairs", "given"]

_MOST_JOBS: Final = 1_000
_WORTH_AN_ARRAY: Final = 20
"""So many that are alike go by enqueue_each, which is several times faster."""
_MOST_PAIRS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Before:
    """What a step comes after: the jobs it waits for, and those whose results it may be given. They differ after a
    group without members, which has no results and ends when the step before it does.
    """

    waits: array[int]
    results: array[int]
    is_many: bool
    policy: OnParentFailure | None = None


@dataclass(slots=True)
class Element:
    """One job of a flow."""

    call: BoundCall[Any]
    before: Before | None
    is_plain: bool = False
    """Whether what the job is given are the results of all it depends on, each once and in the order of ids."""


class Numbers:
    """Gives the jobs of a flow their positions."""

    def __init__(self) -> None:
        self._next = 0

    def take(self) -> int:
        """The position of the next job."""
        self._next += 1
        return self._next - 1


def check_pairs(before: Before | None, members: int) -> None:
    """Raises InvalidArgument where every job of one large group would wait for every job of another."""
    if before is not None and members > 1 and len(before.waits) > 1 and members * len(before.waits) > _MOST_PAIRS:
        raise InvalidArgument(
            f"each of {members} jobs or more would wait for each of {len(before.waits)} others",
            "put one job between the two groups: chain(group(...), between.s(), group(...))",
        )


class Plan:
    """The elements of one flow on their way to the server; `ids` and `created` fill up with its answers."""

    def __init__(self, calls: Calls, walk: Generator[Element, None, Before], hooks: AppHooks) -> None:
        """Raises InvalidArgument when a middleware would be passed by."""
        self._calls = calls
        self._walk = walk
        self._hooks = hooks
        self._has_keys = False
        if hooks.at_enqueue:
            hooks.check_bulk("a flow")
        self.end: Before
        """The jobs of the last step; there when all slices have been made."""
        self.converters: list[Any] = []
        """What decodes each job's result."""
        self.gathered: tuple[array[int], int | None] | None = None
        """The jobs of the last group, and the position of the job that waits for all of them."""
        self.ids: array[int] = array("q")
        self.created = bytearray()

    @property
    def jobs(self) -> int:
        """How many the server has taken."""
        return len(self.ids)

    def slices(self) -> Iterator[list[Element]]:
        """Elements for one statement each. A slice may be made before the one before it is answered."""
        part: list[Element] = []
        start = size = 0
        while (element := self._next(start + len(part))) is not None:
            if part and self._must_know(element, start):
                yield part
                start += len(part)
                part, size = [], 0
            part.append(element)
            size += len(element.call.document)
            if len(part) >= _MOST_JOBS or size >= MOST_CHARACTERS:
                yield part
                start += len(part)
                part, size = [], 0
        if part:
            yield part

    def _next(self, position: int) -> Element | None:
        try:
            element = next(self._walk)
        except StopIteration as stop:
            self.end = stop.value
            if self.end.is_many:
                self.gathered = (self.end.results, None)
            return None
        call, before = element.call, element.before
        settings = call.task.settings
        self._has_keys = self._has_keys or call.unique_key is not None or settings.unique_by is not None
        self.converters.append(call.task.signature.returns)
        if before is not None:
            element.is_plain = (
                before.waits is before.results
                and settings.depends_on is None
                and not (before.is_many and self._has_keys)
                and not self._hooks.may_change_jobs
            )
            if before.is_many and len(before.results):
                self.gathered = (before.results, position)
        return element

    def _must_know(self, element: Element, start: int) -> bool:
        """Whether the ids of jobs that this slice begins with must be known before the element can be sent."""
        before = element.before
        return (
            before is not None
            and len(element.call.marks) > 0
            and not element.is_plain
            and max(before.results, default=-1) >= start
        )

    # -- statements -----------------------------------------------------------------------------------------------

    def call(self, part: Sequence[Element]) -> Call[list[Row]]:
        """The statement for a slice; those before it have been answered."""
        if self._hooks.at_enqueue:
            made = self._hooked(part)
        else:
            made = self._alike(part) or self._calls.enqueue_many(self._documents(part))
        return Call(made.sql, made.params, _unchanged)

    def take(self, rows: list[Row]) -> None:
        """What the server has answered."""
        for id, created in rows:
            self.ids.append(id)
            self.created.append(created)

    def _alike(self, part: Sequence[Element]) -> Call[list[Enqueued]] | None:
        """One array-shaped statement, for a part of a large group."""
        first = part[0]
        task = first.call.task
        if not self._is_one_step(part) or any(
            each.call.task.settings is not task.settings
            or each.call.task.kind != task.kind
            or each.call.marks != first.call.marks
            for each in part
        ):
            return None
        options = task.settings.shared()
        options["headers"] = with_sources(options["headers"], self._sources(first))
        unique_keys = [each.call.unique_key for each in part]
        group_keys = [each.call.group_key for each in part]
        return self._calls.enqueue_each(
            task.kind,
            [each.call.document for each in part],
            unique_keys=unique_keys if any(key is not None for key in unique_keys) else None,
            group_keys=group_keys if any(key is not None for key in group_keys) else None,
            **self._placed(options, first),
        )

    def _is_one_step(self, part: Sequence[Element]) -> bool:
        """Whether these are worth an array, and come after the same jobs, whose ids are known."""
        before, sent = part[0].before, len(self.ids)
        return (
            len(part) >= _WORTH_AN_ARRAY
            and all(each.before is before for each in part)
            and (before is None or max(before.waits, default=-1) < sent)
        )

    def _documents(self, part: Sequence[Element]) -> Iterator[Mapping[str, JSON]]:
        for element, ref in self._referred(part):
            options = element.call.task.settings.shared()
            options["headers"] = with_sources(options["headers"], self._sources(element))
            yield element.call.document_with({**self._placed(options, element), **ref})

    def _hooked(self, part: Sequence[Element]) -> Call[list[Enqueued]]:
        """The statement for a slice whose jobs go through hooks, each by itself."""
        options: dict[int, dict[str, Any]] = {}
        items: list[HookedItem] = []
        for element in part:
            settings = element.call.task.settings
            if id(settings) not in options:  # one set of follow-ups for all: sealed one by one, no two would be alike
                options[id(settings)] = settings.shared()
            job = element.call.new_job_with(options[id(settings)])
            items.append(self._hooks.element(job, self._sources(element)))
        if self._is_one_step(part) and len({repr(item[3]) for item in items}) == 1:
            shared = self._placed(items[0][3], part[0])
            same: Slice = [(document, unique, group, shared) for document, unique, group, _ in items]
            return self._hooks.slice_call(same, self._calls)
        return self._calls.enqueue_many(
            given({**self._placed(shared, element), **ref, "unique_key": unique, "group_key": group})
            | {"args": loads(document)}
            for (document, unique, group, shared), (element, ref) in zip(items, self._referred(part), strict=True)
        )

    def _referred(self, part: Sequence[Element]) -> Iterator[tuple[Element, dict[str, JSON]]]:
        """Elements, each with its ref if others of the slice wait for it."""
        sent = len(self.ids)
        named = {at for each in part if each.before is not None for at in each.before.waits if at >= sent}
        for position, element in enumerate(part, sent):
            yield element, {"ref": str(position)} if position in named else {}

    def _placed(self, options: dict[str, Any], element: Element) -> dict[str, Any]:
        """Options, and what the element's place in the flow adds."""
        before, sent = element.before, len(self.ids)
        if before is None:
            return options
        parents = [self.ids[at] if at < sent else str(at) for at in before.waits]
        policy = {} if before.policy is None else {"on_parent_failure": before.policy}
        return {**options, **policy, "depends_on": _each_once([*(options.get("depends_on") or ()), *parents])}

    def _sources(self, element: Element) -> Sources:
        """What the placeholders of its call stand for. Raises InvalidArgument."""
        call, before = element.call, element.before
        if not call.marks:
            return {}
        if before is None:
            raise InvalidArgument(
                f"a call of task {call.task.kind!r} is given the result of the step before, and there is none",
                "pgqueue.result has a meaning from the second step on",
            )
        if element.is_plain:
            return sources_of(call.marks, "all" if before.is_many else "one")
        ids = [self.ids[at] for at in before.results]
        return sources_of(call.marks, ids if before.is_many else ids[0])


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is None."""
    return {name: value for name, value in options.items() if value is not None}


def _each_once(parents: list[Any]) -> list[Any]:
    """Two members of a group may be one job, by their unique key."""
    return list(dict.fromkeys(parents))


def _unchanged(rows: list[Row]) -> list[Row]:
    return rows

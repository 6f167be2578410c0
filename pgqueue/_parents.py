"""Arguments that are results of parents: which a job wants is written in its headers when it is enqueued, and read when
it runs. No I/O.

The header `$results` maps parameters to "one" (the result of the only parent), "all" (a list of all parents' results,
by id), the id of a parent, or a list of ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from pgqueue._markers import RESULT, Marker
from pgqueue.errors import InvalidArgument
from pgqueue.models import FINAL_STATES, JSON, ParentResult

__all__ = ["PAGE", "RESULTS", "Source", "Sources", "results_of", "sources_of", "visible", "wanted", "with_sources"]

RESULTS: Final = "$results"
PAGE: Final = 1000
"""Parents asked for at a time."""
Source: TypeAlias = "str | int | list[int]"
Sources: TypeAlias = "Mapping[str, Source]"
"""Parameter → whose result its argument is."""


def sources_of(marks: Mapping[str, Marker], source: Source) -> Sources:
    """What the placeholders stand for. Raises InvalidArgument for one that is not that of results."""
    for name, marker in marks.items():
        if marker is not RESULT:
            raise InvalidArgument(
                f"argument {name!r} is {marker!r}, which only a call in on_error receives",
                "a job that depends on others sees how they ended in Context.parents()",
            )
    return dict.fromkeys(marks, source)


def with_sources(headers: Mapping[str, JSON] | None, sources: Sources) -> Mapping[str, JSON] | None:
    """Headers that also say which arguments come from where."""
    return {**(headers or {}), RESULTS: dict(sources)} if sources else headers


def visible(headers: dict[str, JSON]) -> dict[str, JSON]:
    """Headers without what is ours: a handler may pass its own on to another job, which has other parents."""
    return {name: value for name, value in headers.items() if name != RESULTS} if RESULTS in headers else headers


def wanted(headers: Mapping[str, JSON] | None) -> Sources | None:
    """Parameters whose arguments are results of parents."""
    found = None if headers is None else headers.get(RESULTS)
    return found if isinstance(found, Mapping) else None


def results_of(sources: Sources, parents: Sequence[ParentResult]) -> dict[str, JSON]:
    """The arguments that are results: None for a parent that did not succeed. Raises InvalidArgument when a result is
    not to be had any more.
    """
    known = {parent.id: parent for parent in parents}

    def result(id: int) -> JSON:
        parent = known.get(id)
        if parent is None or parent.kind is None or parent.state not in FINAL_STATES:
            raise InvalidArgument(
                f"the result of job {id}, which this one depends on, is not known",
                "does its queue keep no history, or has it been retried meanwhile?",
            )
        return parent.result if parent.state == "succeeded" else None

    def value(source: Source) -> JSON:
        if source == "one":
            if len(parents) != 1:
                raise InvalidArgument(f"an argument is the result of the only parent, and there are {len(parents)}")
            return result(parents[0].id)
        ids: Iterable[Any] | int = (
            sorted(known) if source == "all" else source if isinstance(source, list | int) else [source]
        )
        return result(ids) if isinstance(ids, int) else [result(id) for id in ids]

    return {name: value(source) for name, source in sources.items()}

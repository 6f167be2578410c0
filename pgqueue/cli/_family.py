"""`pgqueue job parents` and `pgqueue job children`: what a job depends on, and what depends on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

from pgqueue.cli._options import Settings, common, examples, pass_settings
from pgqueue.cli._output import STATE_COLOURS, Column, emit_rows, to_json
from pgqueue.cli._params import JOB_ID
from pgqueue.cli._session import session

if TYPE_CHECKING:
    from pgqueue.models import ChildJob, ParentResult

__all__ = ["SHOWN", "children", "parents", "summary"]

T = TypeVar("T", "ParentResult", "ChildJob")

SHOWN = 10
"""How many of each `job show` names."""
_PAGE = 1000


def _pages(page: Callable[[int], Sequence[T]]) -> Iterator[T]:
    after = 0
    while found := page(after):
        yield from found
        if len(found) < _PAGE:
            return
        after = found[-1].id


def summary(relatives: Sequence[ParentResult] | Sequence[ChildJob]) -> str:
    """The first of them in one line: asked for one more than is shown, to know that there are more."""
    named = [f"{each.id} {each.state}" for each in relatives[:SHOWN]]
    return ", ".join([*named, "…"] if len(relatives) > SHOWN else named)


@click.command(epilog=examples("pgqueue job parents 42", "pgqueue job parents 42 --json | jq .result"))
@click.argument("id", type=JOB_ID)
@common
@pass_settings
def parents(settings: Settings, id: int) -> None:
    """The jobs this one depends on, and how they ended. With --json one object a line, results included."""
    columns: list[Column[ParentResult]] = [
        Column("ID", lambda j: j.id, right=True),
        Column("KIND", lambda j: j.kind),
        Column("STATE", lambda j: j.state, colour=lambda j: STATE_COLOURS.get(j.state)),
        Column("REASON", lambda j: j.reason),
        Column("RESULT", lambda j: to_json(j.result) if j.state == "succeeded" else None),
    ]
    with session(settings) as client:
        emit_rows(settings, _pages(lambda after: client.parents(id, after, _PAGE)), columns, empty="no parents")


@click.command(epilog=examples("pgqueue job children 42", "pgqueue job children 42 --json | jq -r .id"))
@click.argument("id", type=JOB_ID)
@common
@pass_settings
def children(settings: Settings, id: int) -> None:
    """The jobs that depend on this one. With --json one object a line."""
    columns: list[Column[ChildJob]] = [
        Column("ID", lambda j: j.id, right=True),
        Column("KIND", lambda j: j.kind),
        Column("STATE", lambda j: j.state, colour=lambda j: STATE_COLOURS.get(j.state)),
    ]
    with session(settings) as client:
        emit_rows(settings, _pages(lambda after: client.children(id, after, _PAGE)), columns, empty="no children")

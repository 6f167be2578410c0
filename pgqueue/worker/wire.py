"""The three statements a worker lives on, with as little work per job as there can be.

`pgqueue._calls` serves everybody else. Here only the columns a worker needs are read, JSON stays text until its job
starts (a C loader hands it over unparsed), and the arrays of a settlement are joined strings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from struct import Struct
from typing import Any, LiteralString, TypeAlias, cast

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format
from psycopg.types.string import TextBinaryLoader

from pgqueue._functions import FUNCTIONS
from pgqueue._sqlfiles import validate_schema
from pgqueue.worker.job import COLUMNS, Job
from pgqueue.worker.line import numbered

__all__ = ["JSON_START", "Problem", "Wire", "adapt"]

Params: TypeAlias = dict[str, Any]
Problem: TypeAlias = tuple[int, int, str]
"""lease, job id, 'stale' or 'busy'"""

JSON_START = 1
"""jsonb travels as one byte of version and then text: where the text begins in what the loader returns."""

_INTERVAL = Struct("!qii")
_BIG = 4_000_000
"""Characters of results in one settlement, unless a single one is larger."""
_MICROSECOND = timedelta(microseconds=1)
_COLUMNS = cast("tuple[LiteralString, ...]", COLUMNS)


class _SecondsLoader(Loader):
    """An interval as seconds: one that is too long for a timedelta must not fail the claim it arrives with."""

    format = Format.BINARY

    def load(self, data: Buffer) -> float:
        microseconds, days, months = _INTERVAL.unpack(data)
        return float(microseconds / 1e6 + 86400.0 * (days + 30 * months))


def adapt(connection: psycopg.AsyncConnection[Any]) -> None:
    """In binary results, jsonb arrives as the str of its bytes (see JSON_START) instead of parsed, an interval as
    seconds.
    """
    connection.adapters.register_loader("jsonb", TextBinaryLoader)
    connection.adapters.register_loader("interval", _SecondsLoader)


class Wire:
    """Statements and parameters of `claim`, `settle` and `settle_and_claim`, and how to read their answers. No I/O."""

    __slots__ = ("claim", "settle", "settle_and_claim")

    def __init__(self, schema: str) -> None:
        # checked: there is nothing in it to quote
        name = cast("LiteralString", validate_schema(schema))  # type: ignore[redundant-cast]
        self.claim = numbered(replace(FUNCTIONS["claim"], columns=_COLUMNS).statement(name))
        self.settle = numbered(replace(FUNCTIONS["settle"], columns=("lease", "job_id", "problem")).statement(name))
        self.settle_and_claim = numbered(
            replace(FUNCTIONS["settle_and_claim"], columns=("problem", *_COLUMNS)).statement(name)
        )

    @staticmethod
    def demand(worker: int, queues: str, n: int, urgent: bool) -> Params:
        """Parameters of `claim`; `queues` is an array literal made by `texts`."""
        return {"worker": str(worker), "queues": queues, "n": str(n), "urgent": "true" if urgent else "false"}

    @staticmethod
    def fitting(batch: Sequence[Job]) -> int:
        """How many of these fit into one settlement of reasonable size; one at least."""
        if sum([len(job.result) for job in batch if job.result is not None]) <= _BIG:
            return len(batch)
        size = 0
        for count, job in enumerate(batch):
            size += len(job.result or "")
            if size > _BIG and count:
                return count
        return len(batch)

    @staticmethod
    def settlement(batch: Sequence[Job]) -> Params:
        """Parameters of `settle`."""
        outcomes = [job.outcome for job in batch]
        results = [job.result for job in batch]
        params: Params = {
            "leases": "{" + ",".join([str(job.lease) for job in batch]) + "}",
            "jobs": "{" + ",".join([str(job.id) for job in batch]) + "}",
            "outcomes": "{" + ",".join(outcomes) + "}",
            "results": None if results.count(None) == len(results) else texts(results),
            "errors": None,
            "delays": None,
        }
        if outcomes.count("succeeded") < len(outcomes):
            errors = [job.error for job in batch]
            delays = [job.delay for job in batch]
            params["errors"] = texts(errors) if any(errors) else None
            if any(delay is not None for delay in delays):
                params["delays"] = texts([_interval(delay) for delay in delays])
        return params

    @staticmethod
    def problems(rows: list[tuple[Any, ...]]) -> list[Problem]:
        """Rows of `settle`."""
        return cast("list[Problem]", rows)

    @staticmethod
    def jobs(rows: list[tuple[Any, ...]]) -> list[Job]:
        """Rows of `claim`."""
        return [Job(row) for row in rows]

    @staticmethod
    def turn(rows: list[tuple[Any, ...]]) -> tuple[list[Problem], list[Job]]:
        """Rows of `settle_and_claim`."""
        problems = [(row[1], row[2], row[0]) for row in rows if row[0] is not None]
        return problems, [Job(row[1:]) for row in rows if row[0] is None]


def texts(items: Sequence[str | None]) -> str:
    """An array literal of texts."""
    return (
        "{"
        + ",".join(
            ["NULL" if item is None else '"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"' for item in items]
        )
        + "}"
    )


def _interval(delay: timedelta | None) -> str | None:
    return None if delay is None else f"{delay // _MICROSECOND} microseconds"

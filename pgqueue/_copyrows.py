"""Stored results as Python values: what psycopg would have given for the same columns.

The common types are read by C functions of the standard library, in whole columns; whatever they cannot read, and every
other type, goes to psycopg's own loader. A loader that somebody has registered with psycopg for a type is used for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, TypeAlias, cast
from uuid import UUID

import psycopg
from psycopg.adapt import Transformer
from psycopg.pq import Format

from pgqueue._copytext import Cells, split
from pgqueue.errors import InvalidArgument

__all__ = ["Column", "Rows"]

Column: TypeAlias = Callable[[Cells], Sequence[Any]]


def _timestamptz(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


_QUICK: dict[str, Callable[[str], Any]] = {
    "int2": int,
    "int4": int,
    "int8": int,
    "oid": int,
    "float4": float,
    "float8": float,
    "numeric": Decimal,
    "bool": {"t": True, "f": False}.__getitem__,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timestamp": datetime.fromisoformat,
    "timestamptz": _timestamptz,
    "uuid": UUID,
    "json": json.loads,
    "jsonb": json.loads,
}
_TEXTS = ("text", "varchar", "bpchar", "name")


def _oids(*names: str) -> dict[int, str]:
    return {info.oid: name for name in names if (info := psycopg.adapters.types.get(name)) is not None}


_QUICK_OIDS = _oids(*_QUICK)
_TEXT_OIDS = _oids(*_TEXTS)


class Rows:
    """Reads the chunks of one result with these column names and type OIDs."""

    def __init__(self, names: Sequence[str], oids: Sequence[int]) -> None:
        self._names = names
        self._columns = [_reader(oid) for oid in oids]

    def read(self, text: str) -> list[tuple[Any, ...]]:
        """The rows of a chunk. Raises InvalidArgument for values that Python cannot hold (a date before Christ)."""
        if not self._columns:
            return [()] * text.count("\n")
        cells = split(text, len(self._columns))
        return list(zip(*map(self._values, range(len(cells)), cells), strict=True))

    def _values(self, at: int, cells: Cells) -> Sequence[Any]:
        try:
            return self._columns[at](cells)
        except (psycopg.DataError, ValueError) as error:
            raise InvalidArgument(
                f"column {self._names[at]} has a value that Python cannot hold: {error}",
                "cast it in the query: …::text",
            ) from error


def _reader(oid: int) -> Column:
    loader = psycopg.adapters.get_loader(oid, Format.TEXT)
    if loader is None or not loader.__module__.startswith("psycopg"):
        return _slowly(oid)
    if oid in _TEXT_OIDS:
        return lambda cells: cells
    if oid in _QUICK_OIDS:
        return _quickly(_QUICK[_QUICK_OIDS[oid]], oid)
    return _slowly(oid)


def _quickly(load: Callable[[str], Any], oid: int) -> Column:
    def read(cells: Cells) -> Sequence[Any]:
        try:
            if None in cells:
                return [None if cell is None else load(cell) for cell in cells]
            return list(map(load, cast("list[str]", cells)))
        except (ValueError, KeyError, ArithmeticError):
            return _slowly(oid)(cells)

    return read


def _slowly(oid: int) -> Column:
    load = Transformer(None).get_loader(oid, Format.TEXT).load
    return lambda cells: [None if cell is None else load(cell.encode()) for cell in cells]

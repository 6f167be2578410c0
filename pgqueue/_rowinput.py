"""Rows as callers write them, as the two arrays that travel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from pgqueue.errors import InvalidArgument
from pgqueue.models import JSON

__all__ = ["RowInput", "columns"]

RowInput: TypeAlias = tuple[int, JSON] | Mapping[str, JSON]
"""A pair of line and input, or an object of both."""


def columns(rows: Iterable[RowInput]) -> tuple[list[int], list[JSON]]:
    """Lines and inputs. Raises InvalidArgument naming the first row that is neither."""
    lines: list[int] = []
    inputs: list[JSON] = []
    for number, row in enumerate(rows, 1):
        line, value = _pair(row, number)
        lines.append(line)
        inputs.append(value)
    return lines, inputs


def _pair(row: Any, number: int) -> tuple[int, JSON]:
    if isinstance(row, Mapping):
        if row.keys() == {"line", "input"}:
            return row["line"], row["input"]
    elif isinstance(row, tuple | list) and len(row) == 2:
        return row[0], row[1]
    raise InvalidArgument(
        f"row {number} is {str(row)[:100]}", 'a row is (line, input), or {"line": line, "input": input}'
    )

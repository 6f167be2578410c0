"""Results of queries as they are stored: lines of COPY's text format, turned into columns and into CSV.

A chunk is worked on column by column, with few Python steps for a cell, and with none where nothing in the chunk needs
a second look. No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias, cast

__all__ = ["Cells", "csv_header", "csv_lines", "split"]

Cells: TypeAlias = list[str | None]
"""One column of a chunk: the text of each value as its type writes it, None for null."""

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_CONTROLS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_TO_QUOTE = re.compile('[,"\n\r]')


def split(text: str, width: int) -> list[Cells]:
    """The columns of a chunk of rows with `width` columns. Raises ValueError when it is not such a chunk."""
    columns = _fields(text, width)
    if "\\" in text:
        return [[_value(cell) if "\\" in cell else cell for cell in column] for column in columns]
    return cast("list[Cells]", columns)


def _fields(text: str, width: int) -> list[list[str]]:
    if not text:
        return [[] for _ in range(width)]
    fields = text[:-1].replace("\n", "\t").split("\t")
    if text[-1] != "\n" or len(fields) != width * text.count("\n"):
        raise ValueError(f"the chunk has {len(fields)} values in {text.count(chr(10))} lines of {width}")
    return [fields[start::width] for start in range(width)]


def _value(cell: str) -> str | None:
    return None if cell == "\\N" else _ESCAPE.sub(_unescaped, cell)


def _unescaped(match: re.Match[str]) -> str:
    return _CONTROLS.get(match[1], match[1])


def csv_lines(text: str, width: int) -> str:
    """A chunk as CSV, to the letter as COPY writes it: null is nothing at all, an empty text is quoted."""
    if not width:
        return text
    backslashes = text.count("\\")
    if "," not in text and '"' not in text and not _has_empty(text):
        if not backslashes:
            return text.replace("\t", ",")
        if backslashes == text.count("\\N") and "\\\\" not in text:
            return text.replace("\t", ",").replace("\\N", "")
    columns = _fields(text, width)
    for at, column in enumerate(columns):
        # What no cell has, their joined text has not: looking there is quicker than looking into each.
        joined = "\t".join(column)
        if '"' in joined or "\\" in joined or "" in column:
            columns[at] = [_csv_cell(cell, width) for cell in column]
        elif "," in joined:
            columns[at] = ['"' + cell + '"' if "," in cell else cell for cell in column]
    return "\n".join(map(",".join, zip(*columns, strict=True))) + "\n"


def _has_empty(text: str) -> bool:
    """Whether a value is the empty text: two separators in a row, or one at the beginning."""
    return text[:1] in ("\t", "\n") or "\t\t" in text.replace("\n", "\t")


def _csv_cell(cell: str, width: int) -> str:
    if "\\" in cell:
        value = _value(cell)
        if value is None:
            return ""
        if value == "\\." and width == 1:
            return '"\\."'  # alone on a line it would be the end of the data
        cell = value
    return '"' + cell.replace('"', '""') + '"' if not cell or _TO_QUOTE.search(cell) else cell


def csv_header(names: Sequence[str]) -> str:
    """The line of column names."""
    return ",".join([_csv_cell(name.replace("\\", "\\\\"), len(names)) for name in names]) + "\n"

"""Stored results as JSON objects, much as `to_json` writes the same values: numbers, booleans, JSON and arrays as such,
times in ISO 8601, everything else as text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from json.encoder import encode_basestring
from typing import Any, TypeAlias, cast

import psycopg
from psycopg.adapt import Transformer
from psycopg.pq import Format

from pgqueue._copytext import Cells, split

__all__ = ["Objects"]

_Encode: TypeAlias = Callable[[str], str]


def _same(cell: str) -> str:
    return cell


def _number(cell: str) -> str:
    return cell if cell[-1:].isdigit() else f'"{cell}"'  # NaN, Infinity


def _time(cell: str) -> str:
    """What Postgres writes with a blank and `+00`, other programs read with a T and `+00:00`."""
    iso = f"{cell[:10]}T{cell[11:]}" if cell[10:11] == " " else cell
    return f'"{iso}:00"' if cell[-3:-2] in ("+", "-") else f'"{iso}"'


_ENCODERS: dict[str, _Encode] = {
    **dict.fromkeys(("int2", "int4", "int8", "oid", "json", "jsonb"), _same),
    **dict.fromkeys(("float4", "float8", "numeric"), _number),
    **dict.fromkeys(("timestamp", "timestamptz"), _time),
    "bool": {"t": "true", "f": "false"}.__getitem__,
}
_TEXT_ARRAY = psycopg.adapters.types["text"].array_oid


class Objects:
    """Reads the chunks of one result with these column names and type OIDs."""

    def __init__(self, names: Sequence[str], oids: Sequence[int]) -> None:
        keys = [encode_basestring(name).replace("%", "%%") for name in names]
        self._template = "{" + ", ".join([f"{key}: %s" for key in keys]) + "}"
        self._encoders = [_encoder(oid) for oid in oids]

    def read(self, text: str) -> list[str]:
        """The rows of a chunk, an object each."""
        if not self._encoders:
            return ["{}"] * text.count("\n")
        cells = split(text, len(self._encoders))
        encoded = [_column(encode, column) for encode, column in zip(self._encoders, cells, strict=True)]
        return list(map(self._template.__mod__, zip(*encoded, strict=True)))


def _column(encode: _Encode, cells: Cells) -> Sequence[str]:
    if None in cells:
        return ["null" if cell is None else encode(cell) for cell in cells]
    texts = cast("list[str]", cells)
    return texts if encode is _same else list(map(encode, texts))


def _encoder(oid: int) -> _Encode:
    info = psycopg.adapters.types.get(oid)
    if info is None:
        return encode_basestring
    encode = _ENCODERS.get(info.name, encode_basestring)
    # An array of boxes, the only one with another delimiter, cannot be read as one of texts: it stays text.
    return _array(encode) if oid == info.array_oid and info.delimiter == "," else encode


def _array(encode: _Encode) -> _Encode:
    load = Transformer(None).get_loader(_TEXT_ARRAY, Format.TEXT).load

    def each(value: Any) -> str:
        if isinstance(value, list):
            return "[" + ", ".join([each(element) for element in value]) + "]"
        return "null" if value is None else encode(value)

    return lambda cell: each(load(cell.encode()))

"""Stored results as Arrow record batches. Needs pyarrow: the extra `arrow`.

Arrow's own casts read the text of a column where the two agree on it. Types that Arrow has no equal for stay text, and
so does numeric without a precision, which is wider than any type of Arrow: cast it in the query.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from importlib import import_module
from typing import TYPE_CHECKING, Any

import psycopg

from pgqueue._copyrows import Rows
from pgqueue._copytext import Cells, split
from pgqueue.errors import InvalidArgument

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["RecordBatches", "frame", "stream", "table"]

_PRECISION = re.compile(r"numeric\((\d+),(-?\d+)\)")
_ZONED = re.compile(r"[+-]\d\d$")


def _pyarrow() -> Any:
    return _extra("pyarrow", "arrow")


def _extra(module: str, extra: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise InvalidArgument(
            f"{module} is not installed", f"install it: pip install 'pgqueue-sql[{extra}]'"
        ) from error


class RecordBatches:
    """Reads the chunks of one result with these column names, types as SQL writes them, and type OIDs.

    Raises InvalidArgument when there is no pyarrow.
    """

    def __init__(self, names: Sequence[str], types: Sequence[str], oids: Sequence[int]) -> None:
        self._pa = _pyarrow()
        self._oids = oids
        self._types = [self._type(kind, oid) for kind, oid in zip(types, oids, strict=True)]
        self.schema: pa.Schema = self._pa.schema(list(zip(names, self._types, strict=True)))

    def read(self, text: str) -> pa.RecordBatch:
        """The rows of a chunk. Raises InvalidArgument for values that Arrow cannot hold (an infinite date)."""
        if not self._oids:
            rows = self._pa.array([{}] * text.count("\n"), self._pa.struct([]))
            return self._pa.RecordBatch.from_struct_array(rows)
        cells = split(text, len(self._oids))
        columns = [self._array(at, column) for at, column in enumerate(cells)]
        return self._pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _type(self, kind: str, oid: int) -> Any:
        pa = self._pa
        info = psycopg.adapters.types.get(oid)
        if info is None:
            return pa.string()
        if oid == info.array_oid:
            element = self._type(kind.removesuffix("[]"), info.oid)
            return pa.list_(element) if info.name in _SIMPLE or info.name in ("text", "varchar") else pa.string()
        if info.name == "numeric":
            precise = _PRECISION.fullmatch(kind)
            if precise and int(precise[1]) <= 76:
                return (pa.decimal128 if int(precise[1]) <= 38 else pa.decimal256)(int(precise[1]), int(precise[2]))
        make = _SIMPLE.get(info.name)
        return make(pa) if make else pa.string()

    def _array(self, at: int, cells: Cells) -> pa.Array:
        pa, kind = self._pa, self._types[at]
        try:
            if pa.types.is_list(kind) or pa.types.is_binary(kind) or pa.types.is_time(kind):
                return pa.array(self._values(at, cells), kind)
            if pa.types.is_boolean(kind):
                return pa.array([None if cell is None else cell == "t" for cell in cells], kind)
            if pa.types.is_timestamp(kind) and kind.tz:
                cells = [cell + ":00" if cell and _ZONED.search(cell, 19) else cell for cell in cells]
            array = pa.array(cells, pa.string())
            return array if pa.types.is_string(kind) else array.cast(kind)
        except (pa.ArrowInvalid, psycopg.DataError) as error:
            raise InvalidArgument(
                f"column {self.schema.names[at]} has a value that Arrow cannot hold: {error}",
                "cast it in the query: …::text",
            ) from error

    def _values(self, at: int, cells: Cells) -> list[Any]:
        text = "".join(["\\N\n" if cell is None else cell.replace("\\", "\\\\") + "\n" for cell in cells])
        return [value for (value,) in Rows([self.schema.names[at]], [self._oids[at]]).read(text)]


_SIMPLE: dict[str, Callable[[Any], Any]] = {
    "bool": lambda pa: pa.bool_(),
    "int2": lambda pa: pa.int16(),
    "int4": lambda pa: pa.int32(),
    "int8": lambda pa: pa.int64(),
    "oid": lambda pa: pa.uint32(),
    "float4": lambda pa: pa.float32(),
    "float8": lambda pa: pa.float64(),
    "bytea": lambda pa: pa.binary(),
    "date": lambda pa: pa.date32(),
    "time": lambda pa: pa.time64("us"),
    "timestamp": lambda pa: pa.timestamp("us"),
    "timestamptz": lambda pa: pa.timestamp("us", "UTC"),
}


def table(batches: Sequence[pa.RecordBatch]) -> pa.Table:
    """At least one record batch as a table."""
    return _pyarrow().Table.from_batches(batches)


def frame(table: pa.Table) -> pd.DataFrame:
    """A table as a data frame. Raises InvalidArgument when there is no pandas."""
    _extra("pandas", "pandas")
    return table.to_pandas()


def stream(batches: Iterable[pa.RecordBatch], file: Any) -> int:
    """Writes record batches to a binary file as an Arrow stream. Returns how many rows there were."""
    ipc = _pyarrow().ipc
    rows = 0
    with ExitStack() as stack:
        writer = None
        for batch in batches:
            if writer is None:
                writer = stack.enter_context(ipc.new_stream(file, batch.schema))
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows

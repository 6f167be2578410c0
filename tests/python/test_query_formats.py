"""Stored chunks as rows, CSV, JSON and Arrow: against what the server itself and psycopg make of the same values."""

from __future__ import annotations

import csv
import io
import json
import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.pq import Format

from pgqueue import InvalidArgument
from pgqueue._copyarrow import RecordBatches
from pgqueue._copyjson import Objects
from pgqueue._copyrows import Rows
from pgqueue._copytext import csv_header, csv_lines, split
from tests.support.cluster import Database

ODD = ["", "N", "\\N", "\\.", "\\", ",", '"', '""', "a\tb", "a\nb", "a\r\nb", "\b\f\v", "🦆", " ", "{}", "null", None]
TYPES = """
select 1::int2 i2, 2::int4 i4, 3::int8 i8, 1.5::float4 f4, 'NaN'::float8 nan, '-Infinity'::float8 inf,
  1e-300::float8 f8, 1234567890.0123456789::numeric n, 'NaN'::numeric nn, 12.50::numeric(6,2) np, true b,
  'a"b\\c'::text t,
  'x'::varchar(3) v, 'y'::char(3) c, 'z'::name nm, '\\x00ff'::bytea by, '2024-02-29'::date d, '12:34:56.5'::time tm,
  '12:34:56+02'::timetz tz, '2024-02-29 01:02:03.000004'::timestamp ts, '2024-02-29 01:02:03+05:30'::timestamptz tstz,
  '1 day 02:00'::interval iv, '{"a": [1, "\\u00e9"]}'::json j, '{"a": 1.50}'::jsonb jb,
  '11111111-2222-3333-4444-555555555555'::uuid u, array[1,null,3] ai, array['a,b', '"', null, 'NULL', '\\'] at,
  array[[1,2],[3,4]] a2, array[true,false] ab, array[1.50, 'NaN']::numeric[] an,
  array['2024-01-01 00:00:00+00']::timestamptz[] atz, '[1,5)'::int4range r, '10.0.0.1'::inet ip, 7::oid o, null::int4 z,
  '(1,2),(0,0)'::box bx, array['(1,2),(0,0)'::box, '(3,4),(0,0)'::box] abx, row(1, 'x') rec,
  array['2024-01-01'::date] ad
"""


@pytest.fixture
def connection(pg: Database) -> psycopg.Connection[Any]:
    connection = pg.connect()
    connection.execute("set timezone to 'Asia/Kolkata'")
    return connection


def copied(connection: psycopg.Connection[Any], sql: str, options: str = "", params: Any = None) -> str:
    with connection.cursor() as cursor, cursor.copy(f"copy ({sql}) to stdout {options}".encode(), params) as copy:
        return b"".join(bytes(part) for part in copy).decode()


def described(connection: psycopg.Connection[Any], sql: str) -> tuple[list[str], list[int], list[str]]:
    description = connection.execute(f"select * from ({sql}) s limit 0".encode()).description
    assert description is not None
    return (
        [column.name for column in description],
        [column.type_code for column in description],
        [column.type_display for column in description],
    )


@pytest.fixture
def odd(connection: psycopg.Connection[Any]) -> str:
    """A query of texts that need care, in all neighbourhoods."""
    connection.execute("create table odd (n serial, t text)")
    with connection.cursor() as cursor:
        cursor.executemany("insert into odd (t) values (%s)", [(text,) for text in ODD])
    return "select a.t as one, b.n, b.t as two from odd a, odd b order by a.n, b.n"


def test_csv_is_to_the_letter_that_of_copy(connection: psycopg.Connection[Any], odd: str) -> None:
    for sql, width in [(odd, 3), ("select t from odd order by n", 1), ("select n, n + 1 from odd order by n", 2)]:
        assert csv_lines(copied(connection, sql), width) == copied(connection, sql, "(format csv)")
    header = copied(
        connection, 'select 1 "a,b", 2 "c""d", 3 "", 4 "\\N"'.replace(' "",', ' " ",'), "csv header"
    ).splitlines()
    assert csv_header(["a,b", 'c"d', " ", "\\N"]) == header[0] + "\n"


def test_csv_of_one_chunk_is_that_of_its_rows(connection: psycopg.Connection[Any], odd: str) -> None:
    """Each line alone goes the way that it needs, and all of them that of the worst."""
    text = copied(connection, odd)
    alone = [csv_lines(line + "\n", 3) for line in text[:-1].split("\n")]
    assert "".join(alone) == csv_lines(text, 3)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_rows_without_columns(rows: int) -> None:
    text = "\n" * rows
    assert Rows([], []).read(text) == [()] * rows
    assert Objects([], []).read(text) == ["{}"] * rows
    assert csv_lines(text, 0) == text
    assert RecordBatches([], [], []).read(text).num_rows == rows


def test_a_chunk_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="lines"):
        split("a\tb\n", 3)
    assert split("", 2) == [[], []]


def test_rows_are_what_psycopg_gives(connection: psycopg.Connection[Any], odd: str) -> None:
    for sql in (odd, TYPES):
        names, oids, _ = described(connection, sql)
        connection.execute("set timezone to utc")
        wanted = connection.execute(sql.encode()).fetchall()
        got = Rows(names, oids).read(copied(connection, sql))
        assert repr(got) == repr(wanted).replace("zoneinfo.ZoneInfo(key='UTC')", "datetime.timezone.utc")


def test_values_beyond_python_are_refused_as_by_psycopg(connection: psycopg.Connection[Any]) -> None:
    for literal in ("'infinity'::timestamptz", "'0044-03-15 BC'::date", "'12024-01-01'::timestamp", "'24:00'::time"):
        sql = f"select {literal} as x"
        names, oids, _ = described(connection, sql)
        with pytest.raises(InvalidArgument, match="column x"):
            Rows(names, oids).read(copied(connection, sql))


def test_types_of_ones_own_are_text(connection: psycopg.Connection[Any]) -> None:
    connection.execute("create type mood as enum ('sad', 'a,b'); create domain positive as int check (value > 0)")
    sql = "select 'a,b'::mood as m, array['sad', 'a,b']::mood[] as ms, 5::positive as p, row(1, 'x')::odd as r"
    connection.execute("create table odd (n int, t text)")
    names, oids, kinds = described(connection, sql)
    text = copied(connection, sql)
    assert Rows(names, oids).read(text) == [("a,b", '{sad,"a,b"}', 5, "(1,x)")]
    assert Objects(names, oids).read(text) == ['{"m": "a,b", "ms": "{sad,\\"a,b\\"}", "p": 5, "r": "(1,x)"}']
    assert RecordBatches(names, kinds, oids).read(text).schema.types == [
        pa.string(),
        pa.string(),
        pa.int32(),
        pa.string(),
    ]


def test_a_loader_of_ones_own_is_used() -> None:
    class Shout(psycopg.adapt.Loader):
        def load(self, data: Any) -> str:
            return bytes(data).decode().upper()

    usual = psycopg.adapters.get_loader(25, Format.TEXT)
    assert usual is not None
    psycopg.adapters.register_loader("text", Shout)
    try:
        assert Rows(["s", "n"], [25, 23]).read("a\t1\n\\N\t2\n") == [("A", 1), (None, 2)]
    finally:
        psycopg.adapters.register_loader("text", usual)


@given(
    st.lists(
        st.lists(
            st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
            min_size=2,
            max_size=2,
        ),
        min_size=1,
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_survives(connection: psycopg.Connection[Any], rows: list[list[str | None]]) -> None:
    sql = "select a, b from unnest(%s::text[], %s::text[]) as u (a, b)"
    text = copied(connection, sql, "", tuple(zip(*rows, strict=True)) and [list(c) for c in zip(*rows, strict=True)])
    wanted = [tuple(row) for row in rows]
    assert Rows(["a", "b"], [25, 25]).read(text) == wanted
    assert csv_lines(text, 2) == copied(connection, sql, "(format csv)", [list(c) for c in zip(*rows, strict=True)])
    assert [tuple(json.loads(line).values()) for line in Objects(["a", "b"], [25, 25]).read(text)] == wanted
    columns = RecordBatches(["a", "b"], ["text", "text"], [25, 25]).read(text).to_pydict()
    assert list(zip(columns["a"], columns["b"], strict=True)) == wanted


def test_json_is_what_to_json_gives(connection: psycopg.Connection[Any]) -> None:
    names, oids, _ = described(connection, TYPES)
    (line,) = Objects(names, oids).read(copied(connection, TYPES))
    row = connection.execute(f"select row_to_json(s)::text from ({TYPES}) s".encode()).fetchone()
    assert row is not None
    got, wanted = (json.loads(text, parse_float=Decimal) for text in (line, row[0]))
    assert got == wanted | {"rec": "(1,x)", "abx": "{(1,2),(0,0);(3,4),(0,0)}", "o": 7}
    assert list(got) == list(wanted)


def test_json_keys_are_quoted(connection: psycopg.Connection[Any]) -> None:
    assert Objects(['a"b', "100%", "%s"], [23, 23, 23]).read("1\t2\t\\N\n") == ['{"a\\"b": 1, "100%": 2, "%s": null}']


def test_csv_is_read_back_by_pythons_reader(connection: psycopg.Connection[Any], odd: str) -> None:
    text = csv_lines(copied(connection, odd), 3)
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert [row[0] for row in rows] == [text or "" for text in ODD for _ in ODD]


def test_arrow_has_types_of_its_own(connection: psycopg.Connection[Any]) -> None:
    names, oids, kinds = described(connection, TYPES)
    kinds = ["numeric(6,2)" if name == "np" else kind for name, kind in zip(names, kinds, strict=True)]
    text = copied(connection, TYPES).replace("{{1,2},{3,4}}", "{1}")
    batch = RecordBatches(names, kinds, oids).read(text)
    schema = {field.name: field.type for field in batch.schema}
    assert (schema["i2"], schema["f4"], schema["b"]) == (pa.int16(), pa.float32(), pa.bool_())
    assert (schema["tstz"], schema["d"], schema["np"]) == (pa.timestamp("us", "UTC"), pa.date32(), pa.decimal128(6, 2))
    assert (schema["n"], schema["j"], schema["iv"], schema["ai"]) == (*[pa.string()] * 3, pa.list_(pa.int32()))
    (row,) = batch.to_pylist()
    assert math.isnan(row["nan"]) and row["inf"] == -math.inf
    assert (row["by"], row["d"], row["tm"]) == (b"\0\xff", date(2024, 2, 29), time(12, 34, 56, 500000))
    assert row["tstz"] == datetime(2024, 2, 28, 19, 32, 3, tzinfo=UTC)
    assert (row["np"], row["n"]) == (Decimal("12.50"), "1234567890.0123456789")
    assert (row["ai"], row["at"], row["ab"]) == ([1, None, 3], ["a,b", '"', None, "NULL", "\\"], [True, False])
    assert (row["z"], row["o"], row["u"]) == (None, 7, "11111111-2222-3333-4444-555555555555")


def test_arrow_refuses_what_it_cannot_hold_by_the_columns_name(connection: psycopg.Connection[Any]) -> None:
    for literal, kind in (
        ("'infinity'::timestamptz", "x"),
        ("'24:00'::time", "x"),
        ("123.45::numeric", "numeric(3,1)"),
    ):
        sql = f"select {literal} as strange"
        names, oids, _ = described(connection, sql)
        with pytest.raises(InvalidArgument, match="strange"):
            RecordBatches(names, [kind], oids).read(copied(connection, sql))

"""Bad input to the functions of batches and slow queries: a clear refusal that stores nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.sql.batches import append, counts, lines, said, slow, submit, work
from tests.sql.calls import Caller
from tests.sql.support import BAD_INTERVALS, contents, refused, shared_database
from tests.support.cluster import Server


@pytest.fixture(scope="module")
def shared(server: Server) -> Iterator[Caller]:
    """One held batch of two rows, one that is over, with a file."""
    with shared_database(server) as q:
        submit(q, 2, hold=True)
        submit(q, 1, "done")
        work(q, q.worker("done/op"), lambda row: said(row, output={"f": "x"}), "done/op")
        yield q


HELD = "(select id from pgqueue.batch where status = 'held')"
DONE = "(select id from pgqueue.batch where status = 'succeeded')"

BAD_ROWS: list[Any] = [
    *(None, 5, "rows", {}, {"line": 1, "input": 1}, [5], [None], [[]], ["x"], [{}], [{"line": 1}], [{"input": 1}]),
    *([{"line": line, "input": 1}] for line in (0, -1, 0.5, 2**31, -(2**31), 10**30, "1", None, True, [], {})),
    *([*lines(2), {"line": 0, "input": 1}], [*lines(2), {"line": 3}, *lines(2)]),
    '[{"line": 1e400, "input": 1}]',
    '[{"line": 1e-400, "input": 1}]',
]


def given(rows: Any) -> Any:
    """JSON that Python cannot write is given as text."""
    return rows if isinstance(rows, str) and rows.startswith("[") else Jsonb(rows)


@pytest.mark.parametrize("hold", [True, False])
@pytest.mark.parametrize("rows", BAD_ROWS, ids=lambda rows: str(rows)[:40])
def test_bad_rows(shared: Caller, rows: Any, hold: bool) -> None:
    with refused(shared, "PQ001", "row"):
        shared.sql("select pgqueue.batch_submit('app', 'op', '{}', %s::jsonb, hold => %s)", given(rows), hold)
    with refused(shared, "PQ001", "row"):
        shared.sql(f"select pgqueue.batch_append({HELD}, %s::jsonb, %s)", given(rows), hold)


def test_a_line_is_a_whole_number_however_it_is_written(q: Caller) -> None:
    batch = q.sql(
        """select pgqueue.batch_submit('app', 'op', '{}',
             '[{"line": 1.0, "input": 1}, {"line": 2e1, "input": 2}, {"input": 3, "line": 2147483647, "more": 4}]')"""
    )[0][0]
    work(q, q.worker("app/op"))
    assert [row["line"] for row in q("batch_rows", id=batch)] == [1, 20, 2147483647]


@pytest.mark.parametrize(
    ("numbers", "inputs"),
    [
        *(("array[1]", "null"), ("null", "array['1']::jsonb[]"), ("array[1, 2]", "array['1']::jsonb[]")),
        *(("'{}'", "array['1']::jsonb[]"), ("array[0]", "array['1']::jsonb[]"), ("array[-1]", "array['1']::jsonb[]")),
        *(("array[null]::int[]", "array['1']::jsonb[]"), ("array[1]", "array[null]::jsonb[]")),
        *(("array[1, 2]", "array['1', null]::jsonb[]"), ("array[array[1]]", "array[array['1']]::jsonb[]")),
        ("array[array[1], array[2]]", "array['1', '2']::jsonb[]"),
    ],
)
def test_bad_arrays(shared: Caller, numbers: str, inputs: str) -> None:
    for hold in ("true", "false"):
        with refused(shared, "PQ001"):
            shared.sql(f"select pgqueue.batch_submit_each('app', 'op', '{{}}', {numbers}, {inputs}, {hold})")
        with refused(shared, "PQ001"):
            shared.sql(f"select pgqueue.batch_append_each({HELD}, {numbers}, {inputs}, {hold})")


def test_no_rows_are_refused_unless_held(shared: Caller) -> None:
    for call in ("batch_submit('a', 'o')", "batch_submit_each('a', 'o', '{}', '{}', '{}')"):
        with refused(shared, "PQ001", "no rows"):
            shared.sql(f"select pgqueue.{call}")
    with refused(shared, "PQ001", "no rows"):
        shared.sql("select pgqueue.batch_submit_each('a', 'o', '{}', null, null)")


NAMES = [
    *(("null", "null"), ("''", "empty"), ("repeat('n', 1000)", "1000 characters"), (r"e'a\nb'", "control")),
]
COMMON = [
    *((f"app => {name}, op => 'o'", f"app {word}") for name, word in NAMES),
    *((f"app => 'a', op => {name}", f"op {word}") for name, word in NAMES),
    ("app => repeat('a', 150), op => repeat('o', 150)", "app and op together 301 characters"),
    ("app => repeat('%%', 100), op => 'o'", "together"),
    *((f"app => 'a', op => 'o', owner => {name}", f"owner {word}") for name, word in NAMES[1:]),
    *((f"app => 'a', op => 'o', priority => {given}", f"priority {given}") for given in ("null", "-32769", "32768")),
]
BAD_CALLS: list[tuple[str, str]] = [
    *((f'batch_submit({common}, rows => \'[{{"line": 1, "input": 1}}]\')', words) for common, words in COMMON),
    *((f"batch_submit({common}, hold => true)", words) for common, words in COMMON),
    *((f"slow_query_submit({common})", words) for common, words in COMMON),
    *(
        (f"batch_submit('a', 'o', slice_size => {given}, hold => true)", f"slice_size {given}")
        for given in ("null", "0", "-1", "10001")
    ),
    ("batch_submit('a', 'o', hold => null)", "hold null"),
    (f"batch_append({HELD}, '[]', hold => null)", "hold null"),
    (f'batch_append({HELD}, \'[{{"line": 1, "input": 1}}]\', hold => null)', "hold null"),
    ("slow_query_submit('a', 'o', input => null)", "input null"),
    *(
        (f"batch_rows({batch}, max => {given})", "max")
        for given in ("null", "0", "-1", "100001")
        for batch in (HELD, DONE)
    ),
    *((f"output_file({DONE}, 'f', chars => {given})", "chars") for given in ("null", "0", "-1", "100000001")),
    *((f"batch_list(max => {given})", f"max {given}") for given in ("null", "0", "-1", "1001")),
    *((f"batch_list({name} => {given})", name) for name in ("kind", "status") for given in ("''", "'done'", "'Batch'")),
    *((f"batch_list(max_age => {given})", "max_age") for given in ("'0'", *BAD_INTERVALS)),
    *((f"batch_purge({given})", "older_than") for given in ("null", *BAD_INTERVALS)),
]


@pytest.mark.parametrize(("call", "words"), BAD_CALLS)
def test_a_call_with_bad_arguments_is_refused(shared: Caller, call: str, words: str) -> None:
    with refused(shared, "PQ001", *words.split()):
        shared.sql(f"select * from pgqueue.{call}")


@pytest.mark.parametrize("call", ["batch_append", "batch_release", "batch_abort", "output_file"])
def test_what_is_over_or_not_over_yet(shared: Caller, call: str) -> None:
    calls = {
        "batch_append": ("PQ005", f"batch_append({DONE}, '[]')"),
        "batch_release": ("PQ005", f"batch_release({DONE})"),
        "batch_abort": ("PQ002", f"batch_abort({DONE}, as_owner => 'nobody')"),
        "output_file": ("PQ005", f"output_file({HELD}, 'f')"),
    }
    sqlstate, text = calls[call]
    with refused(shared, sqlstate, "batch"):
        shared.sql(f"select * from pgqueue.{text}")


@pytest.mark.parametrize("name", ["null", "''", "'F'", "'f '"])
def test_a_file_nobody_wrote(shared: Caller, name: str) -> None:
    with refused(shared, "PQ002", "no output file"):
        shared.sql(f"select * from pgqueue.output_file({DONE}, {name})")


def test_pages_from_anywhere(shared: Caller) -> None:
    for at in ("-2147483648", "-1", "0", "2147483647"):
        for row in ("null", "-2147483648", "0", "2147483647"):
            shared.sql(f"select * from pgqueue.batch_rows({DONE}, after_line => {at}, after_row => {row})")
            shared.sql(f"select * from pgqueue.output_file({DONE}, 'f', after_line => {at}, after_row => {row})")
            shared.sql(f"select * from pgqueue.output_file({DONE}, 'f', after_row => {row})")
    assert shared.sql(f"select line from pgqueue.batch_rows({DONE}, after_line => -5, after_row => 7)") == [(1,)]
    assert shared.sql("select id from pgqueue.batch_list(before => -9223372036854775808)") == []
    assert len(shared.sql("select id from pgqueue.batch_list(before => 9223372036854775807)")) == 2


def test_a_nul_in_json_is_refused_by_the_server(shared: Caller) -> None:
    before = contents(shared)
    for call in (
        "batch_submit('a', 'o', rows => %s)",
        "batch_submit('a', 'o', %s)",
        "slow_query_submit('a', 'o', input => %s)",
    ):
        with pytest.raises(psycopg.errors.UntranslatableCharacter):
            shared.sql(f"select pgqueue.{call}", r'[{"line": 1, "input": "\u0000"}]')
    assert contents(shared) == before


@pytest.mark.parametrize("app", ["🐘" * 99, "a/b", "%", " ", "it's", "Ä", "null", "{a}"], ids=ascii)
def test_odd_names_come_back_verbatim(q: Caller, app: str) -> None:
    batch, query = submit(q, 2, app, "öp/%", hold=True, owner=app * 2), slow(q, 1, app, "öp/%", owner=app * 2)
    append(q, batch, 1, hold=False)
    ((queue,),) = q.sql("select distinct queue from pgqueue.batch")
    assert len(queue) <= 200
    assert sorted(work(q, q.worker(queue), said, queue)) == [batch, query]
    assert counts(q, batch)[:2] == ("succeeded", 3)
    for row in q("batch_list", app=app, op="öP/%", owner=app * 2):
        assert (row["app"], row["op"], row["owner"]) == (app, "öp/%", app * 2)
    assert len(q("batch_list", app=app, op="öP/%", owner=app * 2)) == 2

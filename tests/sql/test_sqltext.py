"""SQL as text: what the scanner of ours sees in it, against what the server makes of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.sql.calls import Caller
from tests.sql.support import refused, shared_database
from tests.support.cluster import Server

TAG = "<%= error_message %>"


@pytest.fixture(scope="module")
def shared(server: Server) -> Iterator[Caller]:
    with shared_database(server) as caller:
        yield caller


def parts(q: Caller, text: str) -> list[tuple[str, str]]:
    ((kinds, texts),) = q.sql("select kinds, parts from pgqueue._sql_parts(%s)", text)
    return [(kind, part) for kind, part in zip(kinds, texts, strict=True) if part]


def rendered(q: Caller, text: str, message: str | None) -> str:
    return str(q.sql("select pgqueue._render_sql(%s, 42, %s)", text, message)[0][0])


PIECES = [
    "'",
    "''",
    '"',
    "--",
    "/*",
    "*/",
    "$$",
    "$a$",
    "$a",
    "$1",
    "\\",
    ";",
    "\n",
    " ",
    "e",
    "E",
    "x",
    TAG,
    "é",
    "<%=job_id%>",
]
ANY = st.lists(st.sampled_from(PIECES), max_size=20).map("".join)
MESSAGES = st.lists(st.sampled_from([*PIECES, "%s", "$q$", "$q3$", "\r", "\t"]), max_size=12).map("".join)
QUIET = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUIET
@given(ANY)
@example("$a$ $$a$ '")
@example("E'\\'' ; ")
@example("e'''' x")
@example("/* /* */ ' */ ;")
def test_parts_joined_are_the_text(shared: Caller, text: str) -> None:
    assert "".join(part for _, part in parts(shared, text)) == text


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("select 1", "code"),
        ("'a''b'", "quote"),
        ("E'a\\'b' x", "code escape code"),
        ("e'a''b\\'c' x", "code escape code"),
        ("name'a\\' x", "code quote code"),
        ("U&'a\\0041' x", "code quote code"),
        ('"a""b" x', "name name code"),
        ("-- 'a'\nx", "line code"),
        ("/* a /* b */ ' */ x", "comment code"),
        ("$$ ' $$ x", "open dollar close code"),
        ("$é_1$ $$ ' $é_1$ x", "open dollar close code"),
        ("$a$ x $$a$", "open dollar close"),
        ("a$b$c $1", "code param"),
        ("a; b", "code end code"),
        ("'; -- $1'", "quote"),
        ("'open", "quote"),
    ],
)
def test_what_a_part_is(shared: Caller, text: str, kinds: str) -> None:
    assert " ".join(kind for kind, part in parts(shared, text) if part.strip()) == kinds


@QUIET
@given(MESSAGES)
@example("'; drop table x; --")
@example("$m$; drop table x; $m$")
@example("a$")
@example("\\'")
@example("$q$ $q3$")
def test_a_message_arrives_whole_wherever_its_tag_stands(shared: Caller, message: str) -> None:
    text = (
        f"select '{TAG}', E'{TAG}', e'\\'{TAG}\\\\', $${TAG}$$, $m${TAG}$m$, {TAG}, 'a''{TAG}''b', 1 as \"x{TAG}\" "
        f"/* {TAG} /* {TAG} */ */ -- {TAG}\n, '<%=job_id%>', <%= job_id %>, $$<%=  job_id  %>$$"
    )
    cursor = shared.connection.execute(rendered(shared, text, message).encode())
    m = message
    assert cursor.fetchall() == [(m, m, f"'{m}\\", m, m, m, f"a'{m}'b", 1, "42", 42, "42")]
    assert cursor.description is not None
    assert cursor.description[7].name == f"x{m}".encode()[:63].decode(errors="ignore")


def test_without_a_message_there_is_none(shared: Caller) -> None:
    assert rendered(shared, f"select '{TAG}', {TAG}", None) == "select '', ''"
    assert rendered(shared, "select '<% error_message %>'", "x") == "select '<% error_message %>'"


@pytest.mark.parametrize(
    ("values", "types", "expected"),
    [
        (
            [1, 2.5, "a'b", True, None],
            ["integer", "numeric", "text", "boolean", "text"],
            "(1, Decimal('2.5'), \"a'b\", True, None)",
        ),
        ([[1, None, 3]], ["integer[]"], "([1, None, 3],)"),
        ([['a"b', "c\\d", "{e}", "", "NULL", None]], ["text[]"], "(['a\"b', 'c\\\\d', '{e}', '', 'NULL', None],)"),
        ([[[1, 2], [3, 4]]], ["integer[]"], "([[1, 2], [3, 4]],)"),
        ([{"a": [1]}, [1, "x"]], ["jsonb", "json"], "({'a': [1]}, [1, 'x'])"),
        (["2026-01-02", "1 day"], ["date", "interval"], "(datetime.date(2026, 1, 2), datetime.timedelta(days=1))"),
        (["ab"], ["bpchar"], "('ab',)"),
        ([{"a": 1}], ["text"], "('{\"a\": 1}',)"),
    ],
)
def test_parameters_as_literals(shared: Caller, values: list[object], types: list[str], expected: str) -> None:
    from psycopg.types.json import Jsonb

    text = "select " + ", ".join(f"${n}" for n in range(1, len(values) + 1)) + "; -- $1 '"
    sql = shared.sql("select pgqueue._with_literals(%s, %s, %s)", text, Jsonb(values), types)[0][0]
    assert repr(shared.connection.execute(sql.encode()).fetchone()) == expected


@pytest.mark.parametrize(
    "sql",
    [
        *(
            "copy t from stdin",
            "COPY t TO\nSTDOUT",
            "select 1; copy (select 1) to stdout",
            "/* a */ copy t from /* b */ stdin",
        ),
        *("listen x", "select 1 ;\n-- c\nListen x", "\\d", "select 1 \\gset", "select 1;\n\\copy t from x"),
        *("", "  \n", ";", "-- nothing\n;"),
    ],
)
def test_what_has_nobody_at_the_other_end_is_refused(shared: Caller, sql: str) -> None:
    with refused(shared, "PQ001"):
        shared("submit_script", document={"query": sql})
    with refused(shared, "PQ001"):
        shared("submit_query", sql=sql)


@pytest.mark.parametrize(
    "sql",
    [
        "select 'copy t from stdin; listen x'",
        "select $$;\\d$$, E'\\\\', \"listen\" from x",
        "copy t from '/tmp/stdin'",
        "copy t to program 'cat > stdout'",
        "notify x, 'listen'",
        "select copy, listen from stdin",
        "vacuum",
        "create function f() returns int language sql begin atomic; select 1; select 2; end",
        "select 1;;; -- once",
    ],
)
def test_what_only_looks_like_it_is_not(shared: Caller, sql: str) -> None:
    with shared.connection.transaction(force_rollback=True):
        assert shared.value("submit_script", document={"query": sql}) > 0
        assert shared.one("submit_query", sql=sql)["created"]


def test_a_query_is_one_statement(shared: Caller) -> None:
    with refused(shared, "PQ001"):
        shared("submit_query", sql="select 1; select 2")

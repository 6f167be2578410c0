"""The pure layer against the catalogue, and its literals against the server."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgqueue import AsyncClient, Client, InvalidArgument
from pgqueue._calls import Calls
from pgqueue._functions import FUNCTIONS
from pgqueue._literals import ENCODERS
from pgqueue.models import ClaimedJob, claimed_jobs
from tests.support.cluster import Database

_PUBLIC = """
select p.proname, p.prokind = 'p',
       coalesce((select array_agg(a.name order by a.ord)
                 from unnest(p.proargnames, p.proargmodes) with ordinality a(name, mode, ord)
                 where a.mode in ('i', 'b')), p.proargnames[1:p.pronargs], '{}'),
       (select coalesce(array_agg(format_type(t.oid, null) order by t.ord), '{}')
        from unnest(p.proargtypes) with ordinality t(oid, ord)),
       coalesce((select array_agg(a.name order by a.ord)
                 from unnest(p.proargnames, p.proargmodes) with ordinality a(name, mode, ord)
                 where a.mode in ('t', 'o', 'b')),
                (select array_agg(a.attname::text order by a.attnum)
                 from pg_attribute a join pg_type r on r.typrelid = a.attrelid
                 where r.oid = p.prorettype and a.attnum > 0 and not a.attisdropped))
from pg_proc p where p.pronamespace = 'pgqueue'::regnamespace and p.proname !~ '^_'
"""


@pytest.fixture
def public(pg: Database) -> dict[str, tuple[bool, dict[str, str], list[str]]]:
    """function → is it a procedure, its arguments with types, its result columns"""
    with pg.connect() as connection:
        rows = connection.execute(_PUBLIC).fetchall()
    return {
        name: (is_procedure, dict(zip(names, kinds, strict=True)), columns)
        for name, is_procedure, names, kinds, columns in rows
    }


def test_every_public_function_is_known_with_its_arguments_and_columns(public: dict[str, Any]) -> None:
    assert FUNCTIONS.keys() == public.keys()
    long = {"int": "integer", "timestamptz": "timestamp with time zone"}
    for name, (is_procedure, arguments, columns) in public.items():
        known = FUNCTIONS[name]
        assert known.is_procedure == is_procedure
        wanted = {key: long.get(kind, kind) for key, kind in known.arguments.items()}
        if is_procedure:  # its inout parameters have defaults and are read as columns
            arguments = {key: kind for key, kind in arguments.items() if key not in known.columns}
        assert wanted == arguments, name
        if known.columns:
            assert list(known.columns) == columns, name


@pytest.mark.parametrize("kind", [Calls, Client, AsyncClient])
def test_every_public_function_is_one_method(kind: type, public: dict[str, Any]) -> None:
    methods = {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}
    beside = {"aclose", "close", "on", "pool", "run", "transaction", "results", "user"}
    handles = {"query", "query_handle", "script", "script_handle", "keyed"}
    assert methods - beside - handles == public.keys()


def test_methods_take_the_arguments_of_their_function() -> None:
    for name, function in FUNCTIONS.items():
        parameters = list(inspect.signature(getattr(Calls, name)).parameters)[1:]
        assert parameters == list(function.arguments), name


@pytest.mark.parametrize("schema", ["", "Pgqueue", "a-b", "a b", 'a"; drop', "1a", "pg_x", "x" * 41])
def test_only_a_plain_name_can_be_a_schema(schema: str) -> None:
    with pytest.raises(InvalidArgument):
        Calls(schema)


def test_another_schema_is_another_statement() -> None:
    calls = Calls("other")
    assert calls.version().sql == "select * from other.version()"
    assert calls.done_channel == "other_done"


def test_claimed_jobs_are_frozen() -> None:
    [job] = claimed_jobs([(1, 2, "q", "k", {}, 1, 5, 0, None, None, None, None, None, 0, datetime.now(UTC))])
    assert type(job) is ClaimedJob
    with pytest.raises(FrozenInstanceError):
        job.id = 3  # type: ignore[misc]


WRONG: dict[str, list[Any]] = {
    "bigint": [True, "1", 1.5, 2**63],
    "text": [1, "a\0", "\ud800"],
    "boolean": [1, "true"],
    "interval": ["1 day", True, float("nan"), float("inf")],
    "timestamptz": [datetime(2020, 1, 1), "2020-01-01", 5],
    "jsonb": [{1: 2}, {"a": {1}}],
    "bigint[]": [["x"], 1],
    "text[]": ["abc", [1]],
    "interval[]": [["x"]],
}


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in WRONG.items() for value in values])
def test_wrong_types_are_refused_by_name(kind: str, value: Any) -> None:
    with pytest.raises(InvalidArgument, match="what"):
        ENCODERS[kind]("what", value)


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
spans = st.timedeltas(timedelta(days=-100_000), timedelta(days=100_000))
LITERALS: list[tuple[str, st.SearchStrategy[Any]]] = [
    ("bigint", st.integers(-(2**63), 2**63 - 1)),
    ("text", texts | st.text("{}\"\\,\n NUL:'%()s", max_size=12)),
    ("boolean", st.booleans()),
    ("interval", spans),
    ("timestamptz", st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=st.just(UTC))),
    ("jsonb", st.dictionaries(texts, texts | st.integers() | st.booleans() | st.lists(texts))),
    ("bigint[]", st.lists(st.integers(-(2**63), 2**63 - 1))),
    ("text[]", st.lists(texts | st.none() | st.sampled_from(["NULL", "", "{}", "\\", '"']))),
    ("interval[]", st.lists(spans | st.none())),
    ("jsonb[]", st.lists(st.dictionaries(texts, texts) | st.none())),
]


@pytest.fixture
def connection(pg: Database) -> psycopg.Connection[Any]:
    return pg.connect()


@pytest.mark.parametrize(("kind", "values"), LITERALS, ids=[kind for kind, _ in LITERALS])
def test_the_server_reads_what_was_meant(
    connection: psycopg.Connection[Any], kind: str, values: st.SearchStrategy[Any]
) -> None:
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(values)
    def sent(value: Any) -> None:
        text = ENCODERS[kind]("value", value)
        answer = connection.execute(f"select %s::{kind}".encode(), (text,), binary=True).fetchone()
        assert answer == (value,)

    sent()

"""What the tests of bad input, roles and enqueue share: the three ways in, refusals, and everything that is stored."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from pgqueue._sqlfiles import resource
from tests.sql.calls import Caller
from tests.support.cluster import Server, fresh_database

Rows = list[tuple[int, bool]]

# The parameters of enqueue. Values are given as text or numbers and cast, so that each test writes them once for all ways in.
TYPES = {
    "kind": "text",
    "args": "jsonb",
    "queue": "text",
    "priority": "integer",
    "run_at": "timestamptz",
    "delay": "interval",
    "unique_key": "text",
    "group_key": "text",
    "max_attempts": "integer",
    "timeout": "interval",
    "expires_in": "interval",
    "heartbeat": "interval",
    "backoff": "jsonb",
    "headers": "jsonb",
}


@contextmanager
def shared_database(server: Server) -> Iterator[Caller]:
    """A database for a module's tests that leave nothing behind, as those of refusals: each proves that it did not."""
    with fresh_database(server) as database:
        yield Caller(database.connect())


def _value(value: Any) -> Any:
    return Jsonb(value) if isinstance(value, dict | list) else value


def by_enqueue(q: Caller, **options: Any) -> Rows:
    named = ", ".join(f"{name} => %s::{TYPES[name]}" for name in options)
    return q.sql(f"select id, created from pgqueue.enqueue({named})", *map(_value, options.values()))


def by_each(q: Caller, **options: Any) -> Rows:
    options.setdefault("args", {})
    arrays = {"args": "args", "unique_key": "unique_keys", "group_key": "group_keys"}
    named = ", ".join(
        f"{arrays[name]} => array[%s::{TYPES[name]}]" if name in arrays else f"{name} => %s::{TYPES[name]}"
        for name in options
    )
    return q.sql(f"select id, created from pgqueue.enqueue_each({named})", *map(_value, options.values()))


def by_many(q: Caller, **options: Any) -> Rows:
    pairs = ", ".join(f"'{name}', %s::{TYPES[name]}" for name in options)
    return q.sql(
        f"select id, created from pgqueue.enqueue_many(jsonb_build_array(jsonb_build_object({pairs})))",
        *map(_value, options.values()),
    )


# The three ways in; each enqueues one job.
DOORS: dict[str, Callable[..., Rows]] = {"enqueue": by_enqueue, "enqueue_each": by_each, "enqueue_many": by_many}


def many(q: Caller, *elements: Any) -> Rows:
    return q.sql("select id, created from pgqueue.enqueue_many(%s)", Jsonb(list(elements)))


def contents(q: Caller) -> dict[str, str]:
    """Every table of the schema, partitions too: how many rows, and a digest of them."""
    names = [
        name
        for (name,) in q.sql(
            """select quote_ident(c.relname) from pg_class c
               where c.relnamespace = 'pgqueue'::regnamespace and c.relkind = 'r' order by 1"""
        )
    ]
    each = " union all ".join(
        f"select '{name}', count(*) || ' ' || md5(coalesce(string_agg(t::text, chr(10) order by t::text), ''))"
        f" from pgqueue.{name} t"
        for name in names
    )
    return dict(q.sql(each.replace("%", "%%")))


@contextmanager
def refused(q: Caller, sqlstate: str = "PQ001", *words: str) -> Iterator[None]:
    """The block is refused as the contract says: with this SQLSTATE, a message (with these words), a hint, and nothing
    stored.
    """
    before = contents(q)
    with pytest.raises(psycopg.Error) as raised:
        yield
    diag = raised.value.diag
    assert diag.sqlstate == sqlstate, raised.value
    assert diag.message_primary
    assert diag.message_hint
    for word in words:
        assert word in diag.message_primary
    assert contents(q) == before


def routines(q: Caller) -> dict[str, list[str]]:
    """The routines of the schema: name and parameters' signature, as the catalogue has them."""
    found: dict[str, list[str]] = {}
    for name, signature in q.sql(
        """select p.proname, p.oid::regprocedure::text from pg_proc p
           where p.pronamespace = 'pgqueue'::regnamespace order by 1, 2"""
    ):
        found.setdefault(name, []).append(signature)
    return found


def granted() -> dict[str, set[str]]:
    """Who may call what, as sql/grants.sql says: the functions of each role."""
    document = re.search(r"jsonb := '(\{.*?\})'", (resource("sql") / "grants.sql").read_text(), re.DOTALL)
    assert document is not None
    return {f"pgqueue_{role}": set(functions) for role, functions in json.loads(document[1]).items()}


def pid(caller: Caller) -> int:
    return caller.connection.info.backend_pid

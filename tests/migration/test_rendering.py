"""Another schema name, and two installations in one database."""

from __future__ import annotations

import re

import psycopg
import pytest

from pgqueue import schema
from pgqueue._sqlfiles import render, source_files
from pgqueue.errors import InvalidArgument
from tests.support.cluster import Database
from tests.support.tools import catalogue


def test_the_word_follows_wherever_it_is_an_identifier() -> None:
    text = "pgqueue.job 'pgqueue_wake' \"pgqueue\" pgqueue_worker 'pgqueue.now' (pgqueue)"
    expected = "q.job 'q_wake' \"q\" q_worker 'q.now' (q)"
    others = " PGQUEUE my_pgqueue pgqueues pgqueue2"
    text, expected = text + others, expected + others
    assert render(text, "q") == expected


def test_another_name_is_the_same_installation(pg: Database, empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        schema.upgrade(connection, "tenant_7")
        named = catalogue.snapshot(connection, "tenant_7")
    back = {re.sub("tenant_7", "pgqueue", key): re.sub("tenant_7", "pgqueue", value) for key, value in named.items()}
    # names sort differently, and with them lists that are ordered by name
    assert sorted_lines(back) == sorted_lines(catalogue.snapshot(pg.connect()))


def sorted_lines(snapshot: dict[str, str]) -> dict[str, list[str]]:
    return {key: sorted(value.splitlines()) for key, value in snapshot.items()}


def test_two_copies_live_in_one_database(pg: Database) -> None:
    connection = pg.connect()
    schema.upgrade(connection, "second")
    for name, kind in (("pgqueue", "a"), ("second", "b")):
        assert schema.check(connection, name).ok
        (job, created) = connection.execute(
            f"select id, created from {name}.enqueue(kind => '{kind}')".encode()
        ).fetchone() or (None, None)
        assert created
        worker = connection.execute(
            f"select {name}.register_worker(name => 'w', queues => array['default'])".encode()
        ).fetchone()
        assert worker is not None
        claimed = connection.execute(
            f"select id, kind from {name}.claim(worker => {worker[0]}, queues => array['default'], n => 10)".encode()
        ).fetchall()
        assert claimed == [(job, kind)]
    assert schema.downgrade(connection, "second").state == "missing"
    assert connection.execute("select kind from pgqueue.job").fetchall() == [("a",)]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Pg",
        "a-b",
        "1a",
        "a b",
        "a;drop table x",
        'a"b',
        "a'b",
        "pg_mine",
        "ünde",
        "a" * 41,
        "table",
        "user",
        "pgqueue\n",
    ],
)
def test_names_that_cannot_be_are_refused(name: str) -> None:
    with pytest.raises(InvalidArgument):
        schema.render_sql(schema=name)


@pytest.mark.parametrize("name", ["q", "_", "a" * 40, "pgq_2"])
def test_names_that_can_be(empty_database: str, name: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        assert schema.upgrade(connection, name).ok
        connection.execute(f"select * from {name}.enqueue(kind => 'k')".encode())
        schema.downgrade(connection, name)


def test_no_file_speaks_of_another_schema() -> None:
    """A qualified name in sql/ is of pgqueue or of the server: else it would not follow a rendering."""
    for file in source_files():
        assert "public." not in file.text, file.name

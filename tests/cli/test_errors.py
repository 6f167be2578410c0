"""Exit codes and what is said when there is no server, no database, no schema, or another one."""

from __future__ import annotations

import socket
from typing import Any

import psycopg
import pytest

from tests.cli.conftest import Run

READING = [
    ("jobs",),
    ("job", "show", "1"),
    ("job", "why", "1"),
    ("queues",),
    ("workers",),
    ("maintain",),
    ("enqueue", "k"),
    ("queue", "set", "q"),
]


@pytest.fixture
def nobody() -> str:
    """A DSN at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"postgresql://x:secret@127.0.0.1:{free.getsockname()[1]}/x"


@pytest.mark.parametrize("arguments", READING)
def test_no_server_is_3_and_no_traceback(arguments: tuple[str, ...], run: Run, nobody: str) -> None:
    said = run("--dsn", nobody, *arguments)
    assert (said.code, said.out) == (3, "")
    assert "cannot connect" in said.err
    assert "hint:" in said.err
    assert "Traceback" not in said.err
    assert "secret" not in said.err


def test_no_database_named_is_3_with_the_ways_to_name_one(run: Run) -> None:
    said = run("jobs")
    assert said.code == 3
    assert "PGQUEUE_DSN" in said.err
    assert "pgqueue up" in said.err


@pytest.mark.parametrize("dsn", ["nonsense", "host=", "postgresql://[", "host='x", "frobnicate=1"])
def test_a_dsn_that_cannot_be_read_or_reached(dsn: str, run: Run) -> None:
    said = run("jobs", "--dsn", dsn)
    assert said.code in (2, 3)
    assert said.err.startswith("error: ")


def test_a_database_or_a_user_that_is_not_there(run: Run, server: Any) -> None:
    for dsn, told in ((server.dsn("no%27such%F0%9F%A6%86"), "no such database"), (server.dsn(user="stranger"), "user")):
        said = run("queues", "--dsn", dsn)
        assert said.code == 3
        assert told in said.err


@pytest.mark.parametrize("arguments", READING)
def test_a_missing_schema_is_4_and_names_the_command_that_installs_it(
    arguments: tuple[str, ...], run: Run, empty_database: str
) -> None:
    said = run("--dsn", empty_database, *arguments)
    assert (said.code, said.out) == (4, "")
    assert "pgqueue schema upgrade" in said.err


def test_a_schema_of_another_version_is_4(run: Run, pg: Any) -> None:
    pg.connect().execute(
        "create or replace function pgqueue.version() returns text language sql as $$ select '9999' $$"
    )
    said = run("--dsn", pg.dsn, "queues")
    assert said.code == 4
    assert "9999" in said.err
    check = run("--dsn", pg.dsn, "schema", "check", "--json")
    assert (check.code, check.json["state"], check.json["installed"]) == (4, "too_new", "9999")


def test_another_schema_name_is_another_queue(run: Run, pg: Any) -> None:
    said = run("--dsn", pg.dsn, "--schema", "other_one", "queues")
    assert said.code == 4
    assert "--schema other_one" in said.err


@pytest.mark.parametrize("name", ["", "Upper", "1st", 'x"y', "a b", "x" * 41, "🦆", "public; drop schema public"])
def test_a_schema_name_that_cannot_be_one_is_2(name: str, run: Run) -> None:
    assert run("queues", "--schema", name).code == 2


def test_a_role_without_grants_is_told_what_to_ask_for(run: Run, pg: Any) -> None:
    pg.connect().execute("create role stranger login")
    try:
        said = run("--dsn", pg.dsn.replace("postgres@", "stranger@"), "queues")
        assert said.code == 1
        assert "hint:" in said.err
        assert "pgqueue_reader" in said.err
    finally:
        pg.connect().execute("drop role stranger")


def test_a_bug_of_ours_is_named_and_shows_no_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from pgqueue.cli import jobs

    def broken(settings: object) -> None:
        raise RuntimeError("boom 🦆\nsecond line")

    monkeypatch.setattr(jobs, "session", broken)
    said = run("jobs")
    assert (said.code, said.out) == (1, "")
    assert said.err.splitlines()[0] == "error: RuntimeError: boom 🦆"
    assert "--debug" in said.err


def test_debug_shows_the_traceback(shell: Run, run: Run, nobody: str) -> None:
    said = shell("queues", "--dsn", nobody, "--debug")
    assert said.code == 3
    assert "Traceback" in said.err
    assert "Traceback" not in run("queues", "--dsn", nobody).err
    assert "OperationalError" in said.err


def test_the_variables_are_read_in_order(run: Run, pg: Any, nobody: str) -> None:
    part = psycopg.conninfo.conninfo_to_dict(pg.dsn)
    libpq = {
        "PGHOST": str(part["host"]),
        "PGPORT": str(part["port"]),
        "PGUSER": str(part["user"]),
        "PGDATABASE": str(part["dbname"]),
    }
    assert run("queues", **libpq).code == 0
    assert run("queues", PGQUEUE_DSN=pg.dsn, PGHOST="256.0.0.1").code == 0
    assert run("queues", PGQUEUE_DSN=nobody, **libpq).code == 3
    assert run("queues", "--dsn", pg.dsn, PGQUEUE_DSN=nobody).code == 0
    assert run("queues", PGQUEUE_DSN=pg.dsn, PGQUEUE_SCHEMA="elsewhere").code == 4


def test_a_reader_that_goes_away_is_no_error(pg: Any) -> None:
    import subprocess
    import sys

    from tests.cli.conftest import environment

    with pg.connect() as connection:
        connection.execute("select pgqueue.enqueue_each('k', array_fill('{}'::jsonb, array[5000]))")
    command = [sys.executable, "-m", "pgqueue.cli", "jobs", "--max", "5000", "--json", "--dsn", pg.dsn]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()

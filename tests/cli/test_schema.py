"""`pgqueue schema …` on a real database."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import psycopg
import pytest

from tests.cli.conftest import Run


def test_install_check_and_remove(run: Run, empty_database: str) -> None:
    dsn = ("--dsn", empty_database)
    missing = run("schema", "check", *dsn)
    assert missing.code == 4
    assert "pgqueue schema upgrade" in missing.err
    assert run("schema", "check", *dsn, "--json").json["state"] == "missing"
    made = run("schema", "upgrade", *dsn, "--json")
    assert (made.code, made.json["from"]) == (0, None)
    assert run("schema", "check", *dsn).code == 0
    assert "nothing to do" in run("schema", "upgrade", *dsn).out
    assert run("enqueue", "k", *dsn).code == 0
    kept = run("schema", "downgrade", "base", *dsn, input="n\n")
    assert kept.code != 0
    assert "ALL ITS JOBS" in kept.err
    assert run("schema", "check", *dsn).code == 0
    gone = run("schema", "downgrade", "base", "--yes", *dsn, "--json")
    assert (gone.code, gone.json["to"]) == (0, None)
    assert run("schema", "check", *dsn).code == 4


def test_another_name_in_the_same_database(run: Run, pg: Any) -> None:
    other = ("--dsn", pg.dsn, "--schema", "cli_other")
    try:
        assert run("schema", "upgrade", *other).code == 0
        assert run("enqueue", "k", "--queue", "here", *other).code == 0
        assert "here" not in [q["queue"] for q in run("queues", "--dsn", pg.dsn, "--json").lines]
        assert "here" in [q["queue"] for q in run("queues", *other, "--json").lines]
    finally:
        assert run("schema", "downgrade", "base", "--yes", *other).code == 0


def test_an_unknown_revision_is_refused_with_the_known_ones(run: Run, empty_database: str) -> None:
    for said in (
        run("schema", "upgrade", "--to", "no'such", "--dsn", empty_database),
        run("schema", "sql", "base:no'such"),
    ):
        assert said.code == 2
        assert "base" in said.err
    assert run("schema", "sql", "head").code == 2


def test_the_sql_alone_makes_a_working_queue(run: Run, empty_database: str, tmp_path: Any) -> None:
    psql = shutil.which("psql")
    if psql is None:
        pytest.skip("this machine has no psql")
    script = tmp_path / "schema.sql"
    script.write_text(run("schema", "sql").out)
    subprocess.run(
        [psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", empty_database, "-f", script], check=True, capture_output=True
    )
    assert run("schema", "check", "--dsn", empty_database).code == 0
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("select created from pgqueue.enqueue('k')").fetchone() == (True,)

"""`pgqueue worker` without a module: scripts and queries, and the databases they may name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.conftest import Run


def submit(pg: Any, **options: str) -> tuple[Any, int, int]:
    connection = pg.connect()
    named = "".join(f", {key} => %({key})s" for key in options)
    ids = [
        connection.execute(f"select id from pgqueue.{call}{named})".encode(), options).fetchone()[0]
        for call in ('submit_script(\'["select 1", "select 2"]\'', "submit_query('select current_database()'")
    ]
    return connection, ids[0], ids[1]


def test_scripts_and_queries_need_no_module(shell: Run, pg: Any) -> None:
    connection, script, query = submit(pg)
    said = shell("worker", "--drain", "--dsn", pg.dsn)
    assert said.code == 0, said
    assert connection.execute("select (pgqueue.script_report(%s)) ->> 'status'", (script,)).fetchone()[0] == "succeeded"
    assert connection.execute("select state from pgqueue.query_status(%s)", (query,)).fetchone()[0] == "succeeded"


@pytest.mark.parametrize("processes", ["1", "2"])
def test_data_sources_reach_every_process(processes: str, shell: Run, pg: Any, empty_database: str) -> None:
    connection, script, query = submit(pg, datasource="dwh")
    said = shell(
        "worker", "-q", "scripts", "-q", "queries:1", "-P", processes, "--datasource", f"dwh={empty_database}",
        "--drain", "--dsn", pg.dsn,
    )  # fmt: skip
    assert said.code == 0, said
    (rows,) = connection.execute("select data from pgqueue.query_batch(%s, 0)", (query,)).fetchone()
    assert json.loads(rows) == [{"current_database": empty_database.rpartition("/")[2]}]
    assert connection.execute("select (pgqueue.script_report(%s)) ->> 'status'", (script,)).fetchone()[0] == "succeeded"


@pytest.mark.parametrize("given", ["dwh", "=x", "dwh=", "dwh=postgresql//ada:gf7-secret@x/y"])
def test_a_data_source_that_is_none_is_refused_and_not_repeated(given: str, run: Run, server: Any) -> None:
    said = run("worker", "--datasource", given, "--dsn", server.dsn())
    assert said.code == 2, said
    assert "Traceback" not in said.err
    assert "gf7-secret" not in said.err

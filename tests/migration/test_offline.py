"""The generated SQL by psql alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psycopg
import pytest

from pgqueue import schema
from pgqueue._sqlfiles import revisions
from pgqueue.errors import InvalidArgument
from tests.support.cluster import Database, Server
from tests.support.tools import catalogue


def psql(server: Server, dsn: str, file: Path) -> subprocess.CompletedProcess[str]:
    program = server.binaries.folder / "psql"
    if not program.exists():
        pytest.skip(f"{server.binaries.source} brings no psql")
    return subprocess.run(
        [program, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", file, dsn], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", ["pgqueue", "elsewhere"])
def test_psql_alone_gives_a_working_queue(
    server: Server, pg: Database, empty_database: str, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "up.sql"
    file.write_text(schema.render_sql(schema=name), encoding="utf-8")
    done = psql(server, empty_database, file)
    assert (done.returncode, done.stderr) == (0, "")
    with psycopg.connect(empty_database, autocommit=True) as connection:
        if name == "pgqueue":
            assert catalogue.differences(catalogue.snapshot(connection), catalogue.snapshot(pg.connect())) == {}
        assert schema.check(connection, name).ok
        assert connection.execute(f"select created from {name}.enqueue(kind => 'k')".encode()).fetchone() == (True,)
        # what psql made, Alembic goes on with
        assert schema.upgrade(connection, name).ok
        file.write_text(schema.render_sql("head", "base", name), encoding="utf-8")
        done = psql(server, empty_database, file)
        assert done.returncode == 0, done.stderr
        assert connection.execute("select to_regnamespace(%s)", [name]).fetchone() == (None,)


def test_applying_it_twice_fails_and_changes_nothing(server: Server, pg: Database, tmp_path: Path) -> None:
    file = tmp_path / "up.sql"
    file.write_text(schema.render_sql(), encoding="utf-8")
    before = catalogue.snapshot(pg.connect())
    assert psql(server, pg.dsn, file).returncode != 0
    assert catalogue.snapshot(pg.connect()) == before


def test_ranges() -> None:
    assert "nothing to do" in schema.render_sql("head", "head")
    assert schema.render_sql("base", revisions()[0]).count("CREATE TABLE pgqueue.schema_version") == 1
    for start, end in (("base", "9999"), ("nowhere", "head"), ("", "head")):
        with pytest.raises(InvalidArgument, match="no revision"):
            schema.render_sql(start, end)

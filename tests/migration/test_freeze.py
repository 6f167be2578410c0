"""The tool that freezes sql/ into revisions, on a copy of the repository."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgqueue import _migrate, _sqlfiles, schema
from pgqueue._sqlfiles import revisions
from tests.support.cluster import Server
from tests.support.tools import ROOT, load

ONE = """\
create function pgqueue.zz_one(a int) returns int language sql as $$ select {body} $$;
comment on function pgqueue.zz_one is 'one';
"""
TWO = "create function pgqueue.zz_two() returns {type} language plpgsql as $$ begin return 1; end $$;\n"

pytestmark = pytest.mark.timeout(240)


class Repository:
    """A copy of what the tool reads and writes. Its tool runs in this process, as does the library, which for the time
    finds its files in the copy; as a process of its own the tool is in test_replay.
    """

    def __init__(self, root: Path, dsn: str, patch: pytest.MonkeyPatch, output: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self._dsn = dsn
        self._patch = patch
        self._output = output
        for name in ("sql", "alembic"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        patch.setattr(_sqlfiles, "__file__", str(root / "pgqueue" / "_sqlfiles.py"))
        self.look_again()
        patch.setattr(sys, "path", sys.path[:])  # the tool, run as a script, changes it
        self._tool = load("freeze", root)
        assert root == self._tool.HERE.parent and _sqlfiles.resource("sql").is_relative_to(root)
        if self._tool.stale_copy():  # sql/ is being worked on
            self.freeze("--rewrite-initial", expect=0)

    @staticmethod
    def look_again() -> None:
        """Files may have come, or be elsewhere."""
        _sqlfiles.resource.cache_clear()
        revisions.cache_clear()

    def freeze(self, *arguments: str, expect: int) -> str:
        self._patch.setattr(sys, "argv", ["freeze.py", "--dsn", self._dsn, *arguments])
        self.look_again()
        try:
            code = self._tool.main()
        except SystemExit as end:
            code = end.code
        told = self._output.readouterr()
        assert code == expect, told.out + told.err
        return told.out

    def write(self, name: str, text: str) -> None:
        (self.root / "sql" / name).write_text(text, encoding="utf-8")

    def revision(self, message: str) -> Path:
        """The .sql of the revision with this message."""
        (path,) = (self.root / "alembic" / "versions").glob(f"*_{message.replace(' ', '_')}.sql")
        return path


@pytest.fixture
def repository(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Repository]:
    yield Repository(tmp_path, server.dsn(), monkeypatch, capsys)
    monkeypatch.undo()
    Repository.look_again()


def test_functions_are_frozen_by_themselves(repository: Repository, empty_database: str) -> None:
    released = revisions()[-1]
    schema.upgrade(empty_database)
    repository.write("functions/core/zz_one.sql", ONE.format(body="1"))
    repository.write("functions/core/zz_two.sql", TWO.format(type="int"))
    assert "differ" in repository.freeze("--check", expect=1)
    repository.freeze("-m", "two new functions", expect=0)
    up = repository.revision("two new functions").read_text(encoding="utf-8")
    assert "create or replace function pgqueue.zz_one" in up
    assert "revoke all on routine pgqueue.zz_one(a integer) from public" in up

    repository.write("functions/core/zz_one.sql", ONE.format(body="2"))
    repository.write("functions/core/zz_two.sql", TWO.format(type="bigint"))
    repository.freeze("-m", "another body another type", expect=0)
    up = repository.revision("another body another type").read_text(encoding="utf-8")
    assert "drop function if exists pgqueue.zz_two();" in up
    assert "drop function if exists pgqueue.zz_one" not in up

    with psycopg.connect(empty_database, autocommit=True) as connection:
        types = "select zz_one, pg_typeof(zz_two)::text from pgqueue.zz_one(0), pgqueue.zz_two()"
        schema.upgrade(empty_database)
        assert connection.execute(types).fetchone() == (2, "bigint")
        schema.downgrade(empty_database, revision=f"{int(released) + 1:04d}")
        assert connection.execute(types).fetchone() == (1, "integer")
        schema.downgrade(empty_database, revision=released)
        assert connection.execute("select to_regprocedure('pgqueue.zz_one(int)')").fetchone() == (None,)


def test_tables_are_written_by_hand(repository: Repository) -> None:
    assert "refused" in repository.freeze("--help", expect=0)
    repository.write("tables/zz.sql", "create table pgqueue.zz (a int primary key);\n")
    told = repository.freeze("-m", "a table", expect=1)
    assert "Write their DDL" in told
    assert "only in sql/: table zz" in told
    assert "freeze a new one" in repository.freeze("--rewrite-initial", expect=1)

    up = repository.revision("a table")
    for path, ddl in (
        (up, "create table pgqueue.zz (a int primary key);\n"),
        (up.with_suffix(".down.sql"), "drop table pgqueue.zz;\n"),
    ):
        path.write_text(path.read_text(encoding="utf-8") + ddl, encoding="utf-8")
    assert "agree" in repository.freeze("--check", expect=0)


def test_an_error_names_its_file(empty_database: str) -> None:
    script = "-- source: sql/a.sql\nselect 1;\n-- source: sql/b.sql\nselect nothing_like_it;\n"
    with psycopg.connect(empty_database) as connection, pytest.raises(psycopg.errors.UndefinedColumn) as caught:
        _migrate.execute_script(connection, script, "0001.sql")
    assert caught.value.__notes__ == ["0001.sql, line 4 (sql/b.sql)"]

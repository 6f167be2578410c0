"""Where the DSN comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgqueue.config import resolve_dsn
from pgqueue.errors import NotConfigured


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".pgqueue").mkdir()
    (tmp_path / ".pgqueue" / "dsn").write_text("host=/run port=1\n")
    return tmp_path


def test_the_first_that_is_there_wins(folder: Path) -> None:
    env = {"PGQUEUE_DSN": "dbname=env", "PGHOST": "h"}
    assert resolve_dsn("dbname=x", env=env, cwd=folder).dsn == "dbname=x"
    assert resolve_dsn(None, env=env, cwd=folder).dsn == "dbname=env"
    assert resolve_dsn(None, env={"PGHOST": "h"}, cwd=folder).dsn == ""
    assert resolve_dsn(None, env={"PGUSER": "u", "PGQUEUE_DSN": ""}, cwd=folder).dsn == "host=/run port=1"


def test_the_source_is_named_and_the_password_is_not(folder: Path) -> None:
    found = resolve_dsn(None, env={"PGQUEUE_DSN": "password=secret"}, cwd=folder)
    assert found.source == "PGQUEUE_DSN"
    assert "secret" not in repr(found)


def test_nothing_found_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match="pgqueue up"):
        resolve_dsn(None, env={}, cwd=tmp_path)

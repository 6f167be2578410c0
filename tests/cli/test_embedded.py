"""`pgqueue up`, `status`, `down`: the server of a folder, made and ended by processes of their own, used by others."""

from __future__ import annotations

from pathlib import Path

import psycopg

from tests.cli.conftest import Run


def test_a_folder_gets_a_server_uses_it_and_loses_it(shell: Run, run: Run, tmp_path: Path) -> None:
    assert run("status").code == 1
    try:
        made = shell("up", "--json")
        assert made.code == 0, made
        assert (made.json["running"], made.json["started"]) == (True, True)
        assert run("up", "--json").json["started"] is False
        state = run("status", "--json")
        assert (state.code, state.json["port"]) == (0, made.json["port"])
        with psycopg.connect((tmp_path / ".pgqueue" / "dsn").read_text().strip()) as connection:
            assert connection.execute("select created from pgqueue.enqueue('k')").fetchone() == (True,)
        assert [job["kind"] for job in run("jobs", "--json").lines] == ["k"]
        assert shell("down", "--json").json == {"folder": str(tmp_path / ".pgqueue"), "stopped": True, "removed": False}
        assert run("down").code == 0
        away = run("jobs")
        assert (away.code, "pgqueue up" in away.err) == (3, True)
        assert run("up").code == 0
        assert len(run("jobs", "--json").lines) == 1
    finally:
        gone = run("down", "--rm", "--yes", "--json")
    assert gone.json["removed"] is True
    assert not (tmp_path / ".pgqueue").exists()
    assert run("status").code == 1

"""`pgqueue quickstart` whole: real servers, real workers, a real SIGKILL. Small trees, so that a run takes seconds."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from pgqueue import Client
from tests.cli.conftest import Run, environment

KEYS = ["files", "succeeded", "failed", "recovered", "lost", "duplicated", "seconds", "jobs_per_s", "p50_ms", "p99_ms"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Six modules and one that is none."""
    root = tmp_path / "a tree's 🦆"
    (root / "package").mkdir(parents=True)
    for n in range(6):
        (root / "package" / f"module{n}.py").write_text(f"import os, json\n\ndef f{n}():\n    return os\n")
    (root / "broken.py").write_text("def (:\n")
    return root


def test_a_given_database_keeps_its_settings_and_its_other_queues(shell: Run, pg: Any, tree: Path) -> None:
    client = Client(connection=pg.connect())
    client.configure({"lost_after": 2})
    other = client.enqueue("mine", {}, queue="mine").id
    said = shell("quickstart", "--dsn", pg.dsn, "--dir", tree, "--json")
    assert said.code == 0, said
    found = said.json
    assert list(found)[: len(KEYS)] == KEYS
    assert (found["files"], found["succeeded"], found["failed"], found["lost"], found["duplicated"]) == (7, 6, 1, 0, 0)
    assert found["killed_holding"] >= found["recovered"] >= 1
    assert 0 < found["p50_ms"] <= found["p99_ms"]
    assert client.configure({})["lost_after"] == "00:00:02"
    assert client.job(other).state == "queued"
    (failed,) = client.jobs(queue=found["queue"], state="failed")
    error = client.job(failed.id).error
    assert error is not None
    assert (error["type"], failed.reason) == ("SyntaxError", "error")
    assert "broken.py" in str(error["traceback"])


def test_a_schema_of_another_version_is_left_alone(shell: Run, pg: Any, tree: Path) -> None:
    pg.connect().execute(
        "create or replace function pgqueue.version() returns text language sql as $$ select '9999' $$"
    )
    said = shell("quickstart", "--dsn", pg.dsn, "--dir", tree, "--json")
    assert (said.code, said.out) == (4, "")
    assert "9999" in said.err


@pytest.mark.slow
def test_rm_in_a_given_database_leaves_nothing_there(shell: Run, empty_database: str, tree: Path) -> None:
    said = shell("quickstart", "--dsn", empty_database, "--dir", tree, "--rm", "--json")
    assert said.code == 0, said
    with Client(empty_database).pool().connection() as connection:
        schemas = "select nspname from pg_namespace where nspname like 'pgqueue%'"
        roles = "select rolname from pg_roles where rolname like 'pgqueue_quickstart%'"
        assert connection.execute(f"{schemas} union all {roles}".encode()).fetchall() == []


@pytest.mark.slow
def test_it_stays_can_be_looked_at_with_psql_and_runs_again(shell: Run, run: Run, tree: Path, tmp_path: Path) -> None:
    try:
        said = shell("quickstart", "--dir", tree)
        assert said.code == 0, said
        assert "0 lost, 0 counted twice" in said.out
        assert "package.module0" in said.out
        lines = [line.strip() for line in said.out.splitlines() if "psql" in line and " -c " in line]
        assert len(lines) == 3
        shown = [
            subprocess.run(line, shell=True, capture_output=True, text=True, check=True, env=environment()).stdout
            for line in lines
        ]
        assert "quickstart-" in shown[0]
        assert "succeeded" in shown[1]
        assert "broken.py" in shown[2]
        assert shell("quickstart", "--dir", tree, "--json").code == 0
        assert run("doctor").code == 0
    finally:
        run("down", "--rm", "--yes")
    assert not (tmp_path / ".pgqueue").exists()


def leftovers(folder: Path) -> list[str]:
    """Files below the temporary folder of a run, and processes that were started there."""
    told = [str(path) for path in folder.iterdir()]
    for process in psutil.process_iter(["cmdline", "environ"]):
        words = " ".join(process.info["cmdline"] or [])
        if process.pid != os.getpid() and str(folder) in words:
            told.append(words)
    return told


@pytest.mark.slow
def test_rm_leaves_nothing_behind_not_even_after_ctrl_c(shell: Run, tree: Path, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    said = shell("quickstart", "--rm", "--dir", tree, "--json", TMPDIR=str(temporary))
    assert (said.code, leftovers(temporary)) == (0, []), said
    # enough files for both workers, and few enough that the one that is left has not long to run
    files = str(Path(asyncio.__file__).parent)
    command = [sys.executable, "-m", "pgqueue.cli", "quickstart", "--rm", "--dir", files]
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment(TMPDIR=str(temporary))
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "SIGKILL" in line:  # one worker is dead, the other works, the server is up
                assert leftovers(temporary) != []
                process.send_signal(signal.SIGINT)
                process.send_signal(signal.SIGINT)
                break
        process.stderr.read()
    assert process.returncode == 130
    assert leftovers(temporary) == []
    assert not (tmp_path / ".pgqueue").exists()


def test_what_cannot_be_indexed(run: Run, tmp_path: Path) -> None:
    nothing = run("quickstart", "--dir", tmp_path)
    assert (nothing.code, "no Python file" in nothing.err) == (1, True)
    assert run("quickstart", "--dir", tmp_path / "nowhere").code == 2
    assert run("quickstart", "--dsn", "host=127.0.0.1 port=1", "--dir", Path(__file__).parent).code == 3

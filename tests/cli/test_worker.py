"""`pgqueue worker`: words of the command line, and one real process. What a worker does is tested in tests/worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pgqueue import Client
from tests.cli.conftest import Run

APP = """
from pgqueue import App
app = App()

@app.task("double")
def double(n: int) -> int:
    return 2 * n
"""


def test_a_worker_drains_a_queue_and_ends(shell: Run, pg: Any, tmp_path: Path) -> None:
    (tmp_path / "cli_example.py").write_text(APP)
    client = Client(connection=pg.connect())
    ids = [job.id for job in client.enqueue_each("double", [{"n": n} for n in range(5)], queue="eu:mail")]
    said = shell("worker", "cli_example:app", "-q", "eu:mail:2", "-c", "3", "--drain", "--dsn", pg.dsn)
    assert said.code == 0, said
    assert [client.result(id).result for id in ids] == [0, 2, 4, 6, 8]
    assert client.workers() == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("nowhere",), 2),
        (("no_such_module:app",), 2),
        (("os:no_such_attribute",), 2),
        (("os:path",), 2),
        (("os:path", "-c", "0"), 2),
        (("os:path", "-q", "mail:0"), 2),
        (("os:path", "--grace", "-1"), 2),
    ],
)
def test_what_cannot_be_run_is_said_in_one_line(arguments: tuple[str, ...], code: int, run: Run, server: Any) -> None:
    said = run("worker", *arguments, "--dsn", server.dsn())
    assert said.code == code, said
    assert "Traceback" not in said.err


def test_as_a_process_too(shell: Run, server: Any) -> None:
    said = shell("worker", "no_such_module:app", "--dsn", server.dsn())
    assert said.code == 2, said
    assert "Traceback" not in said.err


def test_a_worker_without_a_server_or_a_schema(shell: Run, run: Run, empty_database: str, tmp_path: Path) -> None:
    (tmp_path / "cli_example.py").write_text(APP)
    said = shell("worker", "cli_example:app", "--dsn", empty_database)
    assert said.code == 4
    assert "pgqueue schema upgrade" in said.err
    assert run("worker", "cli_example:app").code == 3

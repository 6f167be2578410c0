"""What the README and the quickstart tell a newcomer to type, done for real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pgqueue
from tests.docs.pages import ROOT, blocks
from tests.support.cluster import Database

README = ROOT / "README.md"
COMMANDS = """\
    python3 -m venv .venv && .venv/bin/pip install -e '.[all]' && .venv/bin/pgqueue quickstart
    python3 -m venv .venv && .venv/bin/pip install -e '.[all,dev]' && .venv/bin/pytest
"""


def test_the_two_commands_are_there() -> None:
    assert COMMANDS in README.read_text(encoding="utf-8")


def test_ten_lines_are_ten_lines() -> None:
    for block in blocks(README):
        assert len([line for line in block.text.splitlines() if line.strip()]) <= 10, block.where


def test_the_program_and_its_worker(pg: Database, tmp_path: Path) -> None:
    (program,) = [block.text for block in blocks(README) if block.language == "python"]
    (tmp_path / "sums.py").write_text(program, encoding="utf-8")
    with _worker("sums:app", pg.dsn, tmp_path) as worker:
        done = subprocess.run(
            [sys.executable, "sums.py"],
            cwd=tmp_path,
            env=_environment(pg.dsn),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr
    assert worker.returncode == 0


def test_every_public_name_is_in_the_reference() -> None:
    pages = [ROOT / "docs" / "reference" / name for name in ("python.md", "errors.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    assert not [name for name in pgqueue._WHERE if name not in text]


@contextmanager
def _worker(app: str, dsn: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "pgqueue.cli", "worker", app],
        cwd=folder,
        env=_environment(dsn),
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    finally:
        process.kill()
        process.wait(30)


def _environment(dsn: str) -> dict[str, str]:
    ours = {"PGQUEUE_DSN": dsn, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | ours

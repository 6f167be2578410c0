"""Ways to run the command line: in this process for what it says, as a real process for what it is."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pgqueue.cli import cli

REPOSITORY = Path(__file__).resolve().parents[2]
FOREIGN = ("PGQUEUE_DSN", "PGQUEUE_SCHEMA", "PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE", "PGUSER")


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The only line on stdout."""
        (line,) = self.out.splitlines()
        return json.loads(line)

    @property
    def lines(self) -> list[Any]:
        """One object a line."""
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Said]


def environment(**extra: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    path = os.pathsep.join(filter(None, [str(REPOSITORY), kept.get("PYTHONPATH", "")]))
    return {**kept, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", **extra}


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No database is found by accident: no variable names one, and the current folder has no instance."""
    for name in FOREIGN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """`run("jobs", "--json", PGHOST="…")` in this process, whose logging and search path stay as they are."""
    logger = logging.getLogger("pgqueue")
    before = logger.handlers[:], logger.level, logger.propagate
    monkeypatch.setattr(sys, "path", sys.path[:])

    def call(*arguments: object, input: str | None = None, **env: str) -> Said:
        result = CliRunner().invoke(cli, [str(a) for a in arguments], input=input, env=env)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    yield call
    logger.handlers[:], logger.level, logger.propagate = before


@pytest.fixture
def on(run: Run, pg: Any) -> Run:
    """`on("jobs")`: the same against the test's database."""
    return lambda *arguments, input=None: run("--dsn", pg.dsn, *arguments, input=input)


@pytest.fixture
def shell(tmp_path: Path) -> Run:
    """`shell("jobs", "--json")` as a process of its own, without a terminal, in an empty folder."""

    def call(*arguments: object, timeout: float = 100, **env: str) -> Said:
        command = [sys.executable, "-m", "pgqueue.cli", *map(str, arguments)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, cwd=tmp_path, env=environment(**env), check=False
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return call

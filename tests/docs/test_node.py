"""The example in JavaScript: Cube's queue driver, and its own test, done for real."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.docs.pages import ROOT
from tests.support.cluster import Database

EXAMPLES = ROOT / "docs" / "examples"
VARIABLES = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}


@pytest.fixture(scope="session")
def modules(request: pytest.FixtureRequest) -> Path:
    """A folder with the package `pg` in it, fetched once and kept."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool} on this machine")
    folder = Path(request.config.cache.mkdir("node"))  # type: ignore[union-attr]  # the cache plugin is always there
    if not (folder / "node_modules" / "pg" / "package.json").exists():
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(folder), "pg@8"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
        if done.returncode != 0:
            pytest.skip(f"npm cannot install pg: {done.stderr.strip()[-300:]}")
    return folder / "node_modules"


def test_the_driver_for_cube(pg: Database, modules: Path, tmp_path: Path) -> None:
    for file in EXAMPLES.glob("cube-queue-driver*.mjs"):
        shutil.copy(file, tmp_path)
    (tmp_path / "node_modules").symlink_to(modules)
    given = conninfo_to_dict(pg.dsn)
    where = {variable: str(given[name]) for name, variable in VARIABLES.items() if name in given}
    done = subprocess.run(
        ["node", "--test", "cube-queue-driver.test.mjs"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("PG")} | where,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# fail 0" in done.stdout
    assert "# pass 7" in done.stdout

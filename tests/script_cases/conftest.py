"""Databases for the cases, and a worker for those that need none of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.script_cases.runner import Runner
from tests.script_cases.workers import Crew, Team
from tests.support.cluster import Server, fresh_database

_ARGUMENTS = ("-q", "scripts", "--heartbeat", "0.3")


@pytest.fixture(scope="session")
def data() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(Path(__file__).with_name("cases.json").read_text())
    return loaded


@pytest.fixture(scope="package")
def shared(server: Server, data: dict[str, Any]) -> Iterator[Runner]:
    """Cases one after the other, in one database in which one worker runs all the time."""
    with fresh_database(server) as database, Crew(database.dsn, connection := database.connect(), *_ARGUMENTS) as crew:
        crew.start()
        yield Runner(connection, data, None)


@pytest.fixture
def own(server: Server, data: dict[str, Any]) -> Iterator[Runner]:
    """A database and workers of the case's own."""
    with fresh_database(server) as database, Team(database.dsn) as team:
        yield Runner(database.connect(), data, team)


@pytest.fixture
def processes(server: Server, data: dict[str, Any]) -> Iterator[Runner]:
    """The same with workers that can be killed."""
    with fresh_database(server) as database, Crew(database.dsn, connection := database.connect(), *_ARGUMENTS) as crew:
        yield Runner(connection, data, crew)

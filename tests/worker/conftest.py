"""The queue of a test, and handlers with a clean slate."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cluster import Database, Server, fresh_database
from tests.worker import tasks
from tests.worker.harness import Jobs
from tests.worker.sqljobs import SqlJobs, worker

__all__ = ["jobs", "own_sql", "sql", "sql_database"]


@pytest.fixture
def jobs(pg: Database) -> Jobs:
    """The test's own connection to its queue; lost workers are noticed within seconds."""
    tasks.reset()
    return Jobs(pg.connect())


@pytest.fixture(scope="module")
def sql_database(server: Server) -> Iterator[Database]:
    """A database in which a worker runs scripts and queries all the time."""
    with fresh_database(server) as database, worker(database.dsn):
        yield database


@pytest.fixture
def sql(sql_database: Database) -> SqlJobs:
    """Scripts and queries with a worker at work, and a schema `public` with nothing in it but the table `seen`."""
    return SqlJobs(sql_database).cleared()


@pytest.fixture
def own_sql(pg: Database) -> SqlJobs:
    """The same in a database of the test's own, without a worker."""
    return SqlJobs(pg).cleared()

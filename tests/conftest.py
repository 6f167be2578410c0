"""Fixtures every suite uses: a session's server, and a database of its own for each test."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.cluster import Database, DurableServer, Server, fresh_database, start_server, wanted_binaries


def pytest_configure() -> None:
    """What a shell starts in the background ignores Ctrl-C, and so would all that the tests interrupt."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection() -> None:
    """Thousands of tests are objects that stay: the collector would walk over them again and again."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_xdist_auto_num_workers() -> int:
    """Two processes more than there are processors, and four at most: tests wait a good part of their time."""
    return min((os.cpu_count() or 1) + 2, 4)


def pytest_report_header() -> str:
    found = wanted_binaries()
    return f"PostgreSQL {found.version} ({found.source}: {found.folder})"


@pytest.fixture(scope="session")
def cluster_cache(request: pytest.FixtureRequest) -> Path:
    return Path(request.config.cache.mkdir("clusters"))  # type: ignore[union-attr]  # the cache plugin is always there


@pytest.fixture(scope="session")
def server(cluster_cache: Path) -> Iterator[Server]:
    """The session's server. Its databases are fast and not crash-safe."""
    running = start_server(wanted_binaries(), cluster_cache)
    yield running
    running.stop()


@pytest.fixture
def pg(server: Server) -> Iterator[Database]:
    """A fresh database with the schema installed: `.dsn`, `.connect(**kw)` (psycopg, autocommit), `.connections(n)`."""
    with fresh_database(server) as database:
        yield database


@pytest.fixture
def empty_database(server: Server) -> Iterator[str]:
    """The DSN of a database without the schema."""
    with fresh_database(server, template=None) as database:
        yield database.dsn


@pytest.fixture
def durable_server(cluster_cache: Path) -> Iterator[Callable[[], DurableServer]]:
    """Makes servers of the test's own, with the durability of a default installation: `.kill()`, `.start()`,
    `.restart()`.
    """
    with ExitStack() as stack:

        def make() -> DurableServer:
            running = start_server(wanted_binaries(), cluster_cache, durable=True)
            stack.callback(running.stop)
            assert isinstance(running, DurableServer)
            return running

        yield make

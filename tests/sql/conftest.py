from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.sql.calls import Caller
from tests.support.cluster import Database


@pytest.fixture
def q(pg: Database) -> Iterator[Caller]:
    with pg.connect() as connection:
        yield Caller(connection)


@pytest.fixture
def session(pg: Database) -> Iterator[Callable[[], Caller]]:
    """Makes further sessions on the test's database."""
    made: list[Caller] = []

    def make() -> Caller:
        made.append(Caller(pg.connect()))
        return made[-1]

    yield make
    for caller in made:
        caller.connection.close()

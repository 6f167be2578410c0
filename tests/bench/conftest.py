"""A bench on a fresh database of the session's server: short rounds of real drivers, counted to the last job."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgqueue.bench import Bench
from pgqueue.bench._place import place


@pytest.fixture
def bench(empty_database: str) -> Iterator[Bench]:
    """Rounds of a thousand jobs, one second where time is the measure, two rounds."""

    def quiet(text: str) -> None:
        """Nobody watches."""

    with place(empty_database, "pgqueue_bench", force=False, say=quiet) as where:
        with Bench(where.dsn, where.schema, jobs=1000, seconds=1.0, quick=True) as made:
            made.empty()
            yield made

"""The queue of a test, and handlers with a clean slate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.worker import tasks
from tests.worker.harness import Jobs

if TYPE_CHECKING:
    from tests.support.cluster import Database


@pytest.fixture
def jobs(pg: Database) -> Jobs:
    """The test's own connection to its queue; lost workers are noticed within seconds."""
    tasks.reset()
    return Jobs(pg.connect())

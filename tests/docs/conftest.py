"""What the suites of the documentation share."""

from __future__ import annotations

import shutil

import pytest

from tests.support.cluster import Server


@pytest.fixture
def psql(server: Server) -> str:
    """The psql beside the server under test, else the machine's."""
    beside = server.binaries.folder / "psql"
    found = str(beside) if beside.exists() else shutil.which("psql")
    if found is None:
        pytest.skip("there is no psql on this machine")
    return found

"""The queue of a test, as in tests/worker; and the mark of this folder: `pytest tests/fault -m fault`."""

import pytest

from tests.worker.conftest import jobs

__all__ = ["jobs"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "fault: minutes of kills and cuts at random; slow, too")

"""Every way a server can be run here: which binaries, under which identity."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgqueue.embedded import Binaries, instance
from pgqueue.embedded.runas import Way
from tests.support.providers import BINARIES, WAYS


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may pass through; pytest's own are closed to others."""
    path = Path(tempfile.mkdtemp(prefix="pgqueue-embedded-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(params=list(BINARIES.values()), ids=list(BINARIES))
def binaries(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Binaries:
    """The one server that is found."""
    found: Binaries = request.param
    monkeypatch.setattr(instance, "find", lambda major=None: found)
    return found


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    chosen: Way = request.param
    return chosen

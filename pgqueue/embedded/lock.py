"""A lock between processes on one folder."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pgqueue.embedded.errors import EmbeddedError


@contextmanager
def locked(path: Path, timeout: float) -> Iterator[int]:
    """Holds an exclusive lock on the file `path` (made if missing); gives its descriptor, which a child may inherit to
    hold it too.

    Raises EmbeddedError after `timeout` seconds. The system releases the lock of a process that is killed.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except PermissionError as error:
            raise EmbeddedError(
                f"{path.parent} belongs to another user", "Use another folder, or run as that user."
            ) from error
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise EmbeddedError(
                            f"another process has been changing {path.parent} for {timeout:g} s",
                            "Let it end, or end it.",
                        ) from None
                    time.sleep(0.02)
            # Whoever held it may have removed the folder: then this is a lock on nothing.
            if path.exists() and os.path.samestat(os.fstat(descriptor), os.stat(path)):
                yield descriptor
                return
        finally:
            os.close(descriptor)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

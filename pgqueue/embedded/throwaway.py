"""A server for the length of a block."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pgqueue.embedded.instance import Instance
from pgqueue.embedded.runas import Way


@contextmanager
def throwaway(*, run_as: Way | None = None, settings: Mapping[str, str] | None = None) -> Iterator[Instance]:
    """A server for the length of a block, in memory if there is room, without durability, gone afterwards (also if this
    process is killed).

    Raises EmbeddedError as `Instance.start` does.
    """
    memory = "/dev/shm"
    roomy = os.path.isdir(memory) and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 1 << 30
    folder = tempfile.mkdtemp(prefix="pgqueue-", dir=memory if roomy else None)
    fast = {
        "fsync": "off",
        "dynamic_shared_memory_type": "mmap",
        "synchronous_commit": "off",
        "full_page_writes": "off",
    }
    # The kernel ties a child to the thread that started it, which only the main thread is sure to outlive the block
    # with.
    tied = threading.current_thread() is threading.main_thread()
    instance = Instance(folder, run_as=run_as, settings={**fast, **(settings or {})}, dies_with_caller=tied)
    try:
        instance.start()
        yield instance
    finally:
        instance.destroy()

"""How many seeds a random history is run with."""

from __future__ import annotations

import os
from collections.abc import Sequence


def seeds(all_of_them: Sequence[int], default: int = 1) -> Sequence[int]:
    """The first few in a default run, each of them with PGQUEUE_SEEDS=all: what they find is found once, and kept as a
    test of its own.
    """
    return all_of_them if os.environ.get("PGQUEUE_SEEDS") == "all" else all_of_them[:default]

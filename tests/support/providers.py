"""The ways to run an embedded server that this machine offers."""

from __future__ import annotations

import os

from pgqueue.embedded.binaries import Binaries, candidates
from pgqueue.embedded.runas import Way

# By who brought them; of several from one source, the best.
BINARIES: dict[str, Binaries] = {found.source: found for found in reversed(list(candidates()))}
WAYS: list[Way] = ["namespace", "drop"] if os.geteuid() == 0 else ["self"]

"""How a worker ended, and what its process says of it."""

from __future__ import annotations

import signal
from dataclasses import dataclass

__all__ = ["Ended"]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a worker ended: `why` is drained, asked, a signal's name, gave_up or supervisor_gone; `jobs` is how many
    were handed in, `running` how many handlers could not be stopped.
    """

    why: str
    jobs: int
    running: int
    is_hard: bool

    @property
    def exit_code(self) -> int:
        """For a process: 0 when ended in order, 75 when it gave itself up and should be started again, 128 + n after
        a hard signal.
        """
        if self.why == "gave_up":
            return 75
        if self.is_hard:
            return 128 + (signal.Signals[self.why] if self.why in signal.Signals.__members__ else signal.SIGTERM)
        return 0

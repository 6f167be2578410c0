"""An ear on all channels of a copy."""

from __future__ import annotations

from collections import Counter
from types import TracebackType
from typing import Self

from pgqueue.bench._base import Bench, WrongCounts

_PATIENCE = 10.0


class Ear:
    """A session that listens to everything; `heard` says what came since it was last asked."""

    def __init__(self, bench: Bench) -> None:
        self._connection = bench.connect()
        self._channels = {f"{bench.schema}_{name}": name for name in ("wake", "worker", "done")}
        self._mark = f"{bench.schema}_mark"
        for channel in (*self._channels, self._mark):
            self._connection.execute(f"listen {channel}".encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def heard(self) -> Counter[str]:
        """Notifications by channel since the last call. They arrive in the order of commits: so what was committed
        before a mark of our own has come when the mark comes.
        """
        found: Counter[str] = Counter()
        self._connection.execute(f"notify {self._mark}".encode())
        for notification in self._connection.notifies(timeout=_PATIENCE):
            if notification.channel == self._mark:
                return found
            found[self._channels[notification.channel]] += 1
        raise WrongCounts(f"a notification did not arrive within {_PATIENCE:.0f} seconds")

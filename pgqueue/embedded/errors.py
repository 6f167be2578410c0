"""What can go wrong with a server of one's own."""

from __future__ import annotations

from pgqueue.errors import PgQueueError


class EmbeddedError(PgQueueError):
    """The embedded server cannot be found, made, started or stopped. The message says which, the hint what to do."""

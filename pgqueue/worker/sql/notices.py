"""What the server says while SQL runs (RAISE NOTICE, warnings), kept with the query: the first of it."""

from __future__ import annotations

from psycopg.errors import Diagnostic

from pgqueue.models import JSON

__all__ = ["Notices"]

_MOST = 100
_LONGEST = 1000
_SIZE = 16_384


class Notices:
    """At most 100 notices and 16,384 characters; of what is left out, the number."""

    def __init__(self) -> None:
        self._kept: list[JSON] = []
        self._size = 0
        self._left_out = 0

    def hear(self, told: Diagnostic) -> None:
        """A notice has come."""
        self.add(
            told.severity_nonlocalized or told.severity or "NOTICE",
            told.message_primary or "",
            told.sqlstate,
            told.message_detail,
            told.message_hint,
        )

    def add(
        self,
        severity: str,
        message: str,
        sqlstate: str | None = None,
        detail: str | None = None,
        hint: str | None = None,
    ) -> None:
        """One more, if there is room."""
        said = {"severity": severity, "message": message, "sqlstate": sqlstate, "detail": detail, "hint": hint}
        notice: dict[str, JSON] = {key: text[:_LONGEST] for key, text in said.items() if text is not None}
        size = sum(len(str(text)) for text in notice.values())
        if len(self._kept) >= _MOST or self._size + size > _SIZE:
            self._left_out += 1
            return
        self._kept.append(notice)
        self._size += size

    def document(self) -> list[JSON] | None:
        """What `script_end` and `query_end` take; None when nothing was said."""
        if self._left_out:
            return [*self._kept, {"severity": "LOG", "message": f"{self._left_out} more notices were left out"}]
        return self._kept or None

"""Comparing what is with what a case expects. The words of the cases are CARTO's: pending, done."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

__all__ = ["FINAL", "at", "check_document", "check_value", "in_their_words", "is_settled"]

_WORDS = {"queued": "pending", "succeeded": "done"}
FINAL = ("done", "failed", "cancelled", "skipped")
_STATUSES = ("status", "fallback_status")


def in_their_words(report: dict[str, Any]) -> dict[str, Any]:
    """A report with the statuses as the cases spell them."""
    told = {key: _WORDS.get(value, value) if key in _STATUSES else value for key, value in report.items()}
    if "queries" in told:
        told["queries"] = [in_their_words(query) for query in told["queries"]]
    return told


def is_settled(document: dict[str, Any]) -> bool:
    return document["status"] in FINAL and document.get("fallback_status", "skipped") in FINAL


def at(document: dict[str, Any], path: str) -> Any:
    """What a dotted path leads to."""
    found: Any = document
    for step in path.split("."):
        found = found[int(step)] if isinstance(found, list) else found.get(step)
    return found


def check_value(expected: Any, found: Any, where: str) -> None:
    """Fails unless the value is as expected: equal, any of several, or like a pattern."""
    if isinstance(expected, dict) and "any_of" in expected:
        assert any(_fits(choice, found) for choice in expected["any_of"]), f"{where}: {found!r} is not in {expected}"
    else:
        assert _fits(expected, found), f"{where}: expected {expected!r}, found {found!r}"


def _fits(expected: Any, found: Any) -> bool:
    if isinstance(expected, dict) and "like" in expected:
        return isinstance(found, str) and re.search(expected["like"], found) is not None
    return bool(expected == found)


def check_document(expected: dict[str, Any], document: dict[str, Any], where: str = "script") -> None:
    """Fails unless the document, in the words of the cases, is as the keys given expect."""
    for key, value in expected.items():
        if key == "queries":
            assert len(document["queries"]) == len(value), f"{where}: {document}"
            for number, query in enumerate(value):
                _check_query(query, document["queries"][number], f"{where}.queries.{number}")
        elif key == "has":
            assert set(value) <= set(document), f"{where}: {document}"
        else:
            check_value(value, document.get(key), f"{where}.{key} of {document}")


def _check_query(expected: dict[str, Any], query: dict[str, Any], where: str) -> None:
    for key, value in expected.items():
        times = [query.get("started_at"), query.get("ended_at")]
        if key == "timed":
            assert [time is not None for time in times] == [value, value], f"{where}: {query}"
        elif key == "min_ms":
            began, ended = (datetime.fromisoformat(time or "") for time in times)
            assert (ended - began).total_seconds() * 1000 >= value, f"{where}: {query}"
        elif key == "reason_somewhere":
            reasons = f"{query.get('failed_reason')} {query.get('fallback_error')}"
            assert value in reasons, f"{where}: {query}"
        else:
            check_value(value, query.get(key), f"{where}.{key}")

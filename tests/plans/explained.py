"""The real plans of statements, nested ones too, as `auto_explain` tells them to the session that runs them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg.errors import Diagnostic

# No guarded statement takes a second; one that walks a million rows for each of a hundred would take the night.
PATIENCE = 30

SETTINGS = {
    "log_nested_statements": "on",
    "log_analyze": "on",
    "log_buffers": "on",
    "log_timing": "off",
    "log_format": "json",
    "log_level": "notice",
}

_IN_FUNCTION = re.compile(r'^(?:PL/pgSQL|SQL) function (?:"?\w+"?\.)?"?(\w+)"?', re.MULTILINE)
_REMOVED = ("Rows Removed by Filter", "Rows Removed by Join Filter", "Rows Removed by Index Recheck")


@dataclass(frozen=True)
class Node:
    """One node of a plan that was executed. Numbers are totals over all its loops."""

    kind: str
    relation: str | None
    alias: str | None
    index: str | None
    condition: str
    filter: str
    rows: int
    removed: int
    loops: int
    blocks: int  # without those of the nodes below
    children: tuple[Node, ...]

    @property
    def is_scan(self) -> bool:
        """Whether the node reads a table, by itself or, as a bitmap does, for the node above."""
        return (self.relation is not None or self.kind == "Bitmap Index Scan") and self.kind != "ModifyTable"

    @property
    def visited(self) -> int:
        return self.rows + self.removed

    def walk(self) -> Iterator[Node]:
        yield self
        for child in self.children:
            yield from child.walk()

    def __str__(self) -> str:
        what = self.kind
        if self.index:
            what += f" using {self.index}"
        if self.relation:
            what += f" on {self.relation}" + (f" {self.alias}" if self.alias != self.relation else "")
        numbers = f"{self.rows} rows, {self.removed} removed, {self.loops} loops, {self.blocks} blocks"
        conditions = "".join(
            f"\n      {name}: {text[:300]}"
            for name, text in (("condition", self.condition), ("filter", self.filter))
            if text
        )
        return f"{what} ({numbers}){conditions}"


def function_in(context: str) -> str:
    """The innermost function that an error or a notice came out of, "" when it was none."""
    found = _IN_FUNCTION.search(context)
    return found[1] if found else ""


@dataclass(frozen=True)
class Statement:
    """One executed statement: the function that ran it ("" for the session itself), its text, its plan."""

    function: str
    text: str
    plan: Node

    def nodes(self) -> Iterator[Node]:
        """All nodes that were executed at all: pruned partitions and branches never taken are not among them."""
        return (node for node in self.plan.walk() if node.loops)


def _blocks(given: dict[str, Any]) -> int:
    return int(given.get("Shared Hit Blocks", 0) + given.get("Shared Read Blocks", 0))


def _node(given: dict[str, Any]) -> Node:
    loops = int(given["Actual Loops"])
    below = given.get("Plans", ())
    return Node(
        kind=given["Node Type"],
        relation=given.get("Relation Name"),
        alias=given.get("Alias"),
        index=given.get("Index Name"),
        condition=given.get("Index Cond") or given.get("TID Cond") or given.get("Recheck Cond") or "",
        filter=given.get("Filter") or given.get("Join Filter") or "",
        rows=round(given["Actual Rows"] * loops),
        removed=sum(round(given.get(name, 0) * loops) for name in _REMOVED),
        loops=loops,
        blocks=max(_blocks(given) - sum(map(_blocks, below)), 0),
        children=tuple(map(_node, below)),
    )


class Session:
    """A session whose statements explain themselves. Plans arrive as notices, before the answer does."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self._heard: list[tuple[str, str]] | None = None
        try:
            connection.execute("load 'auto_explain'")
        except psycopg.errors.UndefinedFile:
            pytest.skip("this PostgreSQL comes without the module auto_explain")
        connection.add_notice_handler(self._hear)
        connection.execute(f"set statement_timeout = '{PATIENCE}s'".encode())
        settings = SETTINGS | ({"log_parameter_max_length": "0"} if connection.info.server_version >= 160000 else {})
        for name, value in settings.items():
            connection.execute(f"set auto_explain.{name} = {value}".encode())

    def _hear(self, notice: Diagnostic) -> None:
        message = notice.message_primary or ""
        if self._heard is not None and " plan:\n" in message:  # a notice can be read only while it is handled
            self._heard.append((message, notice.context or ""))

    def _listen(self, on: bool) -> None:
        self.connection.execute(b"set auto_explain.log_min_duration = " + (b"0" if on else b"-1"))

    @contextmanager
    def explained(self) -> Iterator[list[Statement]]:
        """Collects the plans of the statements that end inside the block; the list is filled when it ends."""
        statements: list[Statement] = []
        heard: list[tuple[str, str]] = []
        self._heard = heard
        self._listen(True)
        try:
            yield statements
        finally:
            self._heard = None
            if self.connection.info.transaction_status != psycopg.pq.TransactionStatus.INERROR:
                self._listen(False)  # otherwise the rollback does it
        statements += [_statement(each) for each in heard]


def _statement(heard: tuple[str, str]) -> Statement:
    message, context = heard
    explained = json.loads(message.split(" plan:\n", 1)[1])
    return Statement(function_in(context), explained["Query Text"], _node(explained["Plan"]))

"""The pages of the documentation as programs: their fenced blocks, and two interpreters that run them.

The convention is written down for readers in docs/README.md: `python` and `sql` blocks run, in the order of the page,
one Python namespace and one psql session a page, both on the same fresh database. A line of `→` says what comes out,
`…` stands for any text.
"""

from __future__ import annotations

import ast
import contextlib
import io
import linecache
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))

_FENCE = re.compile(r"^( *)```(\w*)$")
_ERROR = re.compile(r"^(?:psql:[^ ]* )?ERROR:  (\w{5}): ")
_NOTE = re.compile(r"^(?:psql:[^ ]* )?(HINT|NOTICE|WARNING|DETAIL):  (?:\w{5}: )?")


@dataclass(frozen=True)
class Block:
    """One fenced block; `line` is that of its first line in the page."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    inside: tuple[int, str, str] | None = None
    lines: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if inside is None and fence:
            inside, lines = (number + 1, fence[1], fence[2]), []
        elif inside is not None and fence and not fence[2]:
            start, indent, language = inside
            yield Block(page, start, language, "\n".join(text.removeprefix(indent) for text in lines) + "\n")
            inside = None
        elif inside is not None:
            lines.append(line)
    assert inside is None, f"{page}: a block is not closed"


def differs(got: list[str], wanted: list[str]) -> bool:
    """Whether lines are not what the page says; `…` stands for any text."""
    if len(got) != len(wanted):
        return True
    patterns = (".*".join(re.escape(part) for part in line.split("…")) for line in wanted)
    return not all(re.fullmatch(pattern, line) for pattern, line in zip(patterns, got, strict=True))


def _complain(where: str, code: str, wanted: list[str], got: list[str]) -> None:
    told, came = "\n  ".join(wanted), "\n  ".join(got) or "(nothing)"
    raise AssertionError(f"{where}: {code.strip()}\nthe page says:\n  {told}\nwhat comes:\n  {came}")


class Psql:
    """One psql session. What a page shows behind `-- →` is compared with the last lines that came out before it; an
    error that a page does not announce fails.
    """

    def __init__(self, program: str, dsn: str, folder: Path) -> None:
        command = [program, "-X", "-q", "-A", "-t", "-F", " | ", "-P", "null=null", "-v", "VERBOSITY=verbose"]
        self._process = subprocess.Popen(
            [*command, "-v", "SHOW_CONTEXT=never", dsn],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            cwd=folder,
            env={**os.environ, "PGTZ": "UTC", "PGCLIENTENCODING": "UTF8", "LC_ALL": "C"},
        )

    def run(self, block: Block) -> None:
        """Runs a block. Raises AssertionError."""
        code: list[str] = []
        wanted: list[str] = []
        start = block.line
        for number, line in enumerate([*block.text.splitlines(), ""], block.line):
            before, arrow, expected = line.partition("-- → ")
            if wanted and (before.strip() or not arrow):
                self._compare(f"{block.page.name}:{start}", "\n".join(code), wanted)
                code, wanted, start = [], [], number
            if before.strip():
                code.append(before)
            if arrow:
                wanted.append(expected.strip())
        self._compare(f"{block.page.name}:{start}", "\n".join(code), [])

    def _compare(self, where: str, code: str, wanted: list[str]) -> None:
        got = self._send(code)
        shown = got[-len(wanted) :] if wanted else []
        unannounced = [
            line for line in got[: len(got) - len(shown)] if line.startswith(("ERROR ", "psql:", "invalid command"))
        ]
        if unannounced or differs(shown, wanted):
            _complain(where, code, wanted, got)

    def _send(self, code: str) -> list[str]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{code}\n\\echo @@@ done\n\\warn\n")
        stdin.flush()
        got: list[str] = []
        while (line := stdout.readline()) and line != "@@@ done\n":
            text = _NOTE.sub(r"\1: ", _ERROR.sub(r"ERROR \1: ", line.rstrip("\n")))
            if text and not text.startswith("LOCATION:"):
                got.append(text)
        if self._process.poll() is not None:
            got.append("psql: ended")
        return got

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()


class Python:
    """One namespace. What a page shows behind `# →` is what the statement printed, else the repr of its value, else the
    exception it raised, as `raises Name: message`.
    """

    def __init__(self) -> None:
        # dataclasses and type hints look their module up by its name
        self._module = sys.modules["example"] = ModuleType("example")
        self.names: dict[str, Any] = self._module.__dict__

    def run(self, block: Block) -> None:
        """Runs a block. Raises AssertionError, and what the block raises without announcing it."""
        name = f"<{block.where}>"
        linecache.cache[name] = (len(block.text), None, block.text.splitlines(keepends=True), name)
        lines = block.text.splitlines()
        body = ast.parse(block.text, name).body
        for position, statement in enumerate(body):
            assert statement.end_lineno is not None
            after = body[position + 1].lineno - 1 if position + 1 < len(body) else len(lines)
            unread = [n for n in range(statement.lineno, statement.end_lineno) if "# → " in lines[n - 1]]
            assert not unread, f"{block.where}: `# →` inside a statement is not looked at; print, and put it behind"
            tail = [lines[statement.end_lineno - 1], *lines[statement.end_lineno : after]]
            wanted = [line.partition("# → ")[2].strip() for line in tail if "# → " in line]
            got = self._do(statement, name, announced=any(line.startswith("raises ") for line in wanted))
            if wanted and differs(got, wanted):
                where = f"{block.page.name}:{block.line + statement.lineno - 1}"
                _complain(where, ast.unparse(statement), wanted, got)

    def _do(self, statement: ast.stmt, name: str, *, announced: bool) -> list[str]:
        printed = io.StringIO()
        value = None
        try:
            with contextlib.redirect_stdout(printed):
                if isinstance(statement, ast.Expr):
                    value = eval(compile(ast.Expression(statement.value), name, "eval", 0, True), self.names)
                else:
                    exec(compile(ast.Module([statement], []), name, "exec", 0, True), self.names)
        except Exception as error:
            if not announced:
                raise
            return [f"raises {type(error).__name__}: {str(error).splitlines()[0]}"]
        return printed.getvalue().splitlines() or ([] if value is None else repr(value).splitlines())

    def close(self) -> None:
        """Closes what the page has left open."""
        from psycopg import Connection

        from pgqueue import App, Client

        for value in self.names.values():
            if isinstance(value, App | Client | Connection):
                value.close()
        del sys.modules["example"]

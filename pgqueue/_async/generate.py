"""Writes pgqueue/_sync/ from pgqueue/_async/: python -m pgqueue._async.generate [--check].

Works on tokens, so that comments and layout survive: drops async and await, renames what has another name in the
blocking world, and has ruff format the outcome. A construct that has no blocking twin belongs in a file of its own,
outside this folder. --check exits 1 when a file is stale.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tokenize
from pathlib import Path

__all__ = ["generate", "stale"]

_SOURCE = Path(__file__).parent
_TARGET = _SOURCE.parent / "_sync"
_SKIPPED = {"generate.py"}

_NAMES = {
    "AsyncBatches": "Batches",
    "AsyncClient": "Client",
    "AsyncConnection": "Connection",
    "AsyncConnectionPool": "ConnectionPool",
    "AsyncCursor": "Cursor",
    "AsyncExitStack": "ExitStack",
    "AsyncFiltered": "Filtered",
    "AsyncHere": "Here",
    "AsyncHooks": "Hooks",
    "AsyncIterable": "Iterable",
    "AsyncIterator": "Iterator",
    "AsyncKeyedQueue": "KeyedQueue",
    "AsyncMerging": "Merging",
    "AsyncQueryHandle": "QueryHandle",
    "AsyncRowDrain": "RowDrain",
    "AsyncScriptHandle": "ScriptHandle",
    "ResultListener": "ResultWaiter",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "_async": "_sync",
    "aclient": "client",
    "aclose": "close",
    "aparents": "parents",
    "anext": "next",
    "arun_handler": "run_handler",
    "asleep": "sleep",
    "enter_async_context": "enter_context",
    "asynccontextmanager": "contextmanager",
    "asyncio": "threading",
}
# Types in which awaiting disappears: Awaitable[T] is T.
_UNWRAPPED = {"Awaitable", "Coroutine"}
_HEADER = "# Generated from pgqueue/_async/{name} by pgqueue/_async/generate.py: change it there.\n"


def _sync_text(source: str) -> str:
    """The blocking twin of a module's text."""
    lines = source.splitlines(keepends=True)
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    edits: list[tuple[tuple[int, int], tuple[int, int], str]] = []
    for position, token in enumerate(tokens):
        if token.type == tokenize.NAME:
            following = tokens[position + 1]
            if token.string in ("async", "await"):
                edits.append((token.start, following.start, ""))
            elif token.string in _UNWRAPPED and following.string == "[":
                closing = _closing(tokens, position + 1)
                edits.append((token.start, following.end, ""))
                edits.append((closing.start, closing.end, ""))
            elif token.string in _UNWRAPPED and following.string == ",":
                edits.append((token.start, tokens[position + 2].start, ""))
            elif token.string in _NAMES:
                edits.append((token.start, token.end, _NAMES[token.string]))
        elif token.type == tokenize.STRING and token.string.startswith(('"""', '"')):
            text = token.string
            for name, other in _NAMES.items():
                if name.startswith("Async"):
                    text = text.replace(name, other)
            if text != token.string:
                edits.append((token.start, token.end, text))
    for start, end, text in sorted(edits, reverse=True):
        _replace(lines, start, end, text)
    return "".join(lines)


def _closing(tokens: list[tokenize.TokenInfo], opening: int) -> tokenize.TokenInfo:
    depth = 0
    for token in tokens[opening:]:
        depth += {"[": 1, "]": -1}.get(token.string, 0)
        if depth == 0:
            return token
    raise ValueError(f"unbalanced brackets at line {tokens[opening].start[0]}")


def _replace(lines: list[str], start: tuple[int, int], end: tuple[int, int], text: str) -> None:
    (first, column), (last, end_column) = start, end
    joined = lines[first - 1][:column] + text + lines[last - 1][end_column:]
    lines[first - 1 : last] = joined.splitlines(keepends=True) + [""] * (last - first + 1 - joined.count("\n"))


def _formatted(text: str, name: str) -> str:
    ruff = [sys.executable, "-m", "ruff"]
    for command in ([*ruff, "check", "--select", "I,F401", "--fix", "--quiet"], [*ruff, "format", "--quiet"]):
        text = subprocess.run(
            [*command, "--stdin-filename", name, "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            cwd=_SOURCE,
        ).stdout
    return text


def generate() -> dict[Path, str]:
    """File → text of the whole sync folder. Needs ruff."""
    return {
        _TARGET / file.name: _formatted(_HEADER.format(name=file.name) + _sync_text(file.read_text()), file.name)
        for file in sorted(_SOURCE.glob("*.py"))
        if file.name not in _SKIPPED
    }


def stale() -> list[str]:
    """Names of files that are not what the generator would write, missing and surplus ones included."""
    wanted = generate()
    present = set(_TARGET.glob("*.py"))
    return sorted(
        {file.name for file, text in wanted.items() if file not in present or file.read_text() != text}
        | {file.name for file in present - wanted.keys()}
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    if parser.parse_args().check:
        names = stale()
        if names:
            print(f"stale: {', '.join(names)}; run: python -m pgqueue._async.generate", file=sys.stderr)
        return 1 if names else 0
    wanted = generate()
    for file in set(_TARGET.glob("*.py")) - wanted.keys():
        file.unlink()
    for file, text in wanted.items():
        file.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

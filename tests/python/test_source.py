"""Rules about the library's own text."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pgqueue._async.generate import stale

ROOT = Path(__file__).resolve().parents[2] / "pgqueue"
# Installing the schema is SQL by nature, the command line shows people what to type, and a bench measures beside the
# library and counts in its tables.
_NOT_THE_LIBRARY = {"schema.py", "_migrate.py", "_sqlfiles.py", "cli", "embedded", "bench"}
# What workers say about sessions and backends on their connections to users' databases.
_STATEMENTS = ROOT / "worker" / "sql" / "statements.py"
FILES = sorted(
    file
    for file in ROOT.rglob("*.py")
    if file.relative_to(ROOT).parts[0] not in _NOT_THE_LIBRARY and file != _STATEMENTS
)

_SQL = re.compile(
    r"\s*(select\b|insert\s+into|update\s+\S+\s+set|delete\s+from|with\s+\S+\s+as\b|create\s|alter\s|drop\s|truncate\b"
    r"|copy\s|notify\b|lock\s+table|set\s+\S+\s*(=|to\s)|begin\b|commit\b|rollback\b|call\s|(un)?listen\b|values\s*\()",
    re.IGNORECASE,
)
_PROSE = re.compile(r"\s*(call|set|select|drop|create|copy|with) (it|the|one|a)\b")
_ALLOWED = re.compile(r"\s*((un)?listen( |$)|unlisten \*$)")
# The pure layer; the clock that tests set; the worker's listener asking itself whether there is a pooler between.
_ALLOWED_HERE = {
    "_functions.py": {"select ", "call "},
    "testing.py": {"select set_config(%s, %s, false)"},
    "notify.py": {"select pg_notify(%(channel)s, %(token)s)"},
}


def _strings(tree: ast.AST) -> list[tuple[int, str]]:
    """String constants and the leading text of f-strings, without docstrings."""
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values[1:]}
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation | inner
    ]


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(ROOT)) for file in FILES])
def test_the_library_holds_no_sql_but_calls_of_its_functions(file: Path) -> None:
    found = [
        f"{file.relative_to(ROOT)}:{line}: {text}"
        for line, text in _strings(ast.parse(file.read_text()))
        if _SQL.match(text)
        and not _PROSE.match(text)
        and not _ALLOWED.match(text)
        and text not in _ALLOWED_HERE.get(file.name, ())
    ]
    assert found == []


def test_the_search_for_sql_finds_it() -> None:
    text = (
        'def f(c):\n    "select in a docstring"\n    c.execute("select 1")\n    c.execute(f"  Update {x} set a = 1")\n'
    )
    assert [line for line, found in _strings(ast.parse(text)) if _SQL.match(found)] == [3]
    assert _SQL.match("insert into t values (1)")
    assert not _ALLOWED.match("select 1")


def test_the_sync_code_is_what_the_generator_writes() -> None:
    assert stale() == []


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import pgqueue", {"psycopg", "typing", "alembic", "sqlalchemy", "pgqueue.registry"}),
        (
            "from pgqueue import App; app = App(); app.task(lambda: 1)",
            {"psycopg", "psycopg_pool", "alembic", "sqlalchemy"},
        ),
        (
            "from pgqueue import App, Client, AsyncClient, testing",
            {"alembic", "sqlalchemy", "click", "rich", "pydantic", "msgspec"},
        ),
    ],
)
def test_importing_costs_what_is_used(statement: str, absent: set[str]) -> None:
    program = f"import sys; before = set(sys.modules); {statement}; print(*(set(sys.modules) - before))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT.parent
    ).stdout
    assert absent.isdisjoint(loaded.split())


def test_every_exported_name_exists() -> None:
    import pgqueue

    for name in dir(pgqueue):
        assert getattr(pgqueue, name) is not None or name.startswith("__")

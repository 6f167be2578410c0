"""The two interpreters themselves: what they must not let pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Block, Psql, Python, blocks, differs
from tests.support.cluster import Server

PAGE = ROOT / "docs" / "page.md"


def block(language: str, text: str) -> Block:
    return Block(PAGE, 1, language, text)


@pytest.mark.parametrize(
    "text",
    [
        "1 + 1  # → 3\n",
        "x = 2  # → 2\n",
        "print('a')\n# → b\n",
        "int('a')  # → raises KeyError: …\n",
        "int('1')  # → raises ValueError: …\n",
        "if True:\n    1 + 1  # → 3\n    pass\n",
    ],
)
def test_python_that_lies(text: str) -> None:
    names = Python()
    with pytest.raises(AssertionError):
        names.run(block("python", text))
    names.close()


def test_python_that_is_true() -> None:
    names = Python()
    names.run(block("python", "x = 1\nx + 1  # → 2\nfor n in 'ab':\n    print(n)\n# → a\n# → b\n"))
    names.run(block("python", "int(\n    'a')  # → raises ValueError: …'a'\nx  # → …\n"))
    with pytest.raises(ZeroDivisionError):
        names.run(block("python", "1 / 0\n"))
    names.close()


@pytest.mark.parametrize(
    "text",
    [
        "select 1; -- → 2\n",
        "select 1 where false; -- → 1\n",
        "select 1 union all select 2;\n-- → 1\n-- → 3\n",
        "select 1 / 0;\n",
        "select 1 / 0;\nselect 1; -- → 1\n",
        "select 1; -- → ERROR 22012: division by zero\n",
        "\\foo\n",
    ],
)
def test_sql_that_lies(text: str, psql: str, server: Server, tmp_path: Path) -> None:
    session = Psql(psql, server.dsn(), tmp_path)
    with pytest.raises(AssertionError):
        session.run(block("sql", text))
    session.close()


def test_sql_that_is_true(psql: str, server: Server, tmp_path: Path) -> None:
    session = Psql(psql, server.dsn(), tmp_path)
    session.run(
        block("sql", "select 1, null; -- → 1 | null\nselect 7 as x \\gset\nselect 1 / 0; -- → ERROR 22012: …\n")
    )
    session.run(block("sql", "select :x\n  + 1; -- → 8\n"))
    session.close()


def test_blocks_and_wildcards(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n\n```python\nx = 1\n```\n\n- b\n\n  ```sql\n  select 1;\n  ```\n", encoding="utf-8")
    assert [(b.language, b.line, b.text) for b in blocks(page)] == [
        ("python", 4, "x = 1\n"),
        ("sql", 10, "select 1;\n"),
    ]
    assert not differs(["a.b"], ["a…b"])
    assert differs(["axb"], ["a.b"])
    assert differs(["a", "b"], ["a…"])

"""Every example of the documentation, run page by page; and what else a page can get wrong: links, commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import click
import pytest

from pgqueue.cli._main import cli
from tests.docs.pages import PAGES, ROOT, Block, Psql, Python, blocks
from tests.support.cluster import Database

NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
RUN = ("python", "sql")
SHOWN = ("text", "sh", "json", "ini")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_examples_do_what_the_page_says(
    page: Path, pg: Database, psql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    todo = [block for block in blocks(page) if block.language in RUN]
    if not todo:
        return
    for variable in ("PGSERVICE", "PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGQUEUE_SCHEMA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PGQUEUE_DSN", pg.dsn)
    monkeypatch.chdir(tmp_path)
    session, names = Psql(psql, pg.dsn, tmp_path), Python()
    try:
        for block in todo:
            (session if block.language == "sql" else names).run(block)
    finally:
        names.close()
        session.close()


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_block_says_what_it_is(page: Path) -> None:
    strange = [block.where for block in blocks(page) if block.language not in (*RUN, *SHOWN)]
    assert not strange, f"write ```python, ```sql (both run), or one of {SHOWN}: {strange}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", target):
            continue
        name, _, anchor = target.partition("#")
        file = page if not name else (page.parent / name).resolve()
        if not file.exists() or (anchor and anchor not in _anchors(file)):
            broken.append(target)
    assert not broken


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_can_be_typed(page: Path) -> None:
    """Every `pgqueue …` line of a shell block names a command and options that exist."""
    for block in blocks(page):
        if block.language == "sh":
            for words in _commands(block):
                try:
                    _parse(words)
                except click.ClickException as error:
                    if "does not exist" in error.format_message():
                        continue  # a file or folder of the reader's
                    pytest.fail(f"{block.where}: {' '.join(words)}: {error.format_message()}")


def _commands(block: Block) -> Iterator[list[str]]:
    for line in block.text.replace("\\\n", " ").splitlines():
        for part in re.split(r"\||&&|;", line):
            lexer = shlex.shlex(part, posix=True, punctuation_chars="<>&")
            lexer.whitespace_split = True
            try:
                words = list(lexer)
            except ValueError:
                continue  # a quoted pipe or semicolon has been cut
            while words and re.fullmatch(r"[A-Z_]+=.*|\$|exec", words[0]):
                words.pop(0)
            words = list(takewhile(lambda word: word[0] not in "<>&", words))
            if words and Path(words[0]).name == "pgqueue":
                yield words[1:]


def _parse(words: list[str]) -> None:
    command: click.Command = cli
    parent: click.Context | None = None
    while True:
        try:
            context = command.make_context(command.name, list(words), parent=parent)
        except click.exceptions.Exit:
            return  # --help, --version
        if not isinstance(command, click.Group):
            return
        rest = [*context._protected_args, *context.args]
        if command.invoke_without_command and not rest:
            return
        _, found, words = command.resolve_command(context, rest)
        assert found is not None
        command, parent = found, context

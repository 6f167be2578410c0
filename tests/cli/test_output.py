"""What is printed, without a database; a terminal is a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from pgqueue.cli._options import Settings
from pgqueue.cli._output import Column, emit_rows, plain, printable, span, table, width
from pgqueue.models import Attempt
from tests.cli.conftest import environment

COLUMNS: list[Column[tuple[str, int]]] = [Column("NAME", lambda r: r[0]), Column("N", lambda r: r[1], right=True)]


def test_a_plain_table_is_aligned_whatever_the_width_of_a_character(capsys: pytest.CaptureFixture[str]) -> None:
    table([("abc", 1), ("🦆", 100), ("日本", 20)], COLUMNS)
    assert capsys.readouterr().out.splitlines() == ["NAME    N", "abc     1", "🦆    100", "日本   20"]


def test_data_cannot_move_the_cursor_or_turn_text_around() -> None:
    assert printable("a\x1b[2Jb\nc\r\u202ed") == "a\\x1b[2Jb\\nc\\r\\u202ed"
    assert printable("👩‍💻 Ünïcode") == "👩‍💻 Ünïcode"
    assert printable(None) == ""
    assert width("👩") == 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.0012, "1ms"),
        (0.9999, "1.0s"),
        (4.21, "4.2s"),
        (59.97, "1m"),
        (192, "3m 12s"),
        (3600, "1h"),
        (18180, "5h 3m"),
        (187200, "2d 4h"),
        (-90, "-1m 30s"),
    ],
)
def test_a_duration_for_people(seconds: float, text: str) -> None:
    assert span(timedelta(seconds=seconds)) == text


def test_json_has_sql_names_iso_times_and_seconds() -> None:
    attempt = Attempt(1, datetime(2030, 1, 1, tzinfo=UTC), 7, "error", {"type": "E", "message": "m"})
    assert plain({"a": attempt, "d": timedelta(minutes=1)}) == {
        "a": {
            "attempt": 1,
            "failed_at": "2030-01-01T00:00:00+00:00",
            "worker_id": 7,
            "reason": "error",
            "error": {"type": "E", "message": "m"},
        },
        "d": 60.0,
    }


def test_nothing_to_list_is_said_beside_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    emit_rows(Settings(), [], COLUMNS, empty="no jobs")
    assert capsys.readouterr() == ("", "no jobs\n")
    emit_rows(Settings(json=True), [], COLUMNS, empty="no jobs")
    assert capsys.readouterr() == ("", "")


TABLE = """
import sys
if {without_rich}:
    sys.modules["rich"] = None
from pgqueue.cli._output import Column, table
from pgqueue.cli._progress import progress
table([("[bold]x[/bold]", 1)], [Column("NAME", lambda r: r[0]), Column("N", lambda r: r[1], right=True)])
with progress("working", 2) as bar:
    bar.update(1, "half")
    bar.say("[red]something happened")
    bar.update(2)
"""


def on_a_terminal(code: str) -> str:
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=follower, stderr=follower, env=environment(TERM="xterm", COLUMNS="100")
    ) as process:
        os.close(follower)
        said = b""
        while True:
            try:
                piece = os.read(leader, 65536)
            except OSError:  # the end of a pseudo-terminal
                break
            if not piece:
                break
            said += piece
        assert process.wait(30) == 0, said.decode()
    os.close(leader)
    return said.decode()


def test_a_terminal_gets_rich_tables_and_markup_in_data_is_text() -> None:
    pytest.importorskip("rich")
    said = on_a_terminal(TABLE.format(without_rich=False))
    assert "─" in said
    assert "[bold]x[/bold]" in said
    assert "[red]something happened" in said


def test_without_rich_a_terminal_gets_plain_text_and_a_plain_bar() -> None:
    said = on_a_terminal(TABLE.format(without_rich=True))
    assert "─" not in said
    assert "[bold]x[/bold]  1" in said
    assert "█" in said
    assert "working" in said
    assert "2/2" in said


def test_without_a_terminal_progress_is_a_few_lines(capfd: pytest.CaptureFixture[str]) -> None:
    subprocess.run([sys.executable, "-c", TABLE.format(without_rich=False)], check=True, env=environment())
    out, err = capfd.readouterr()
    assert "\x1b" not in out + err
    assert out.splitlines()[1].split() == ["[bold]x[/bold]", "1"]
    assert len(err.splitlines()) == 3

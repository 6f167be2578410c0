"""Arguments, without a database."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import click
import pytest

from pgqueue.cli._params import DURATION, MOMENT, NAME, json_object, pairs_to_object
from pgqueue.cli.worker import Queue


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0", 0),
        ("1.5s", 1.5),
        ("10m", 600),
        ("1h30m", 5400),
        ("2 days", 172800),
        ("1w", 604800),
        ("250ms", 0.25),
        (" 5 min ", 300),
    ],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert DURATION.convert(text, None, None) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "-5", "soon", "5 fortnights", "1h-3m", "10m!", "²", "9" * 30 + "d", "1e3", "nan", "١٢"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        DURATION.convert(text, None, None)


def test_a_moment_without_a_zone_is_local_time() -> None:
    assert MOMENT.convert("2030-01-31T09:00+01:00", None, None) == datetime(2030, 1, 31, 8, tzinfo=UTC)
    assert MOMENT.convert("2030-01-31T09:00", None, None) == datetime(2030, 1, 31, 9).astimezone()


@pytest.mark.parametrize("text", ["", "tomorrow", "infinity", "2030-13-01"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        MOMENT.convert(text, None, None)


def test_a_value_that_is_json_is_json_and_anything_else_is_text() -> None:
    pairs = [
        "a=1",
        "b=01",
        "c=true",
        "d=[1, 2]",
        'e="1"',
        "f=x=y",
        "g=",
        "h=null",
        "i=NaN",
        "j=🦆 'quoted\"",
        "k:l=1.50",
    ]
    assert pairs_to_object(pairs) == {
        "a": 1,
        "b": "01",
        "c": True,
        "d": [1, 2],
        "e": "1",
        "f": "x=y",
        "g": "",
        "h": None,
        "i": "NaN",
        "j": "🦆 'quoted\"",
        "k:l": 1.5,
    }


@pytest.mark.parametrize("pair", ["a", "=1", "", os.fsdecode(b"a=\xff"), "a=\0"])
def test_what_is_no_pair_is_refused(pair: str) -> None:
    with pytest.raises(click.UsageError):
        pairs_to_object([pair])


def test_a_key_given_twice_is_refused() -> None:
    with pytest.raises(click.UsageError, match="given twice"):
        pairs_to_object(["a=1", "a=2"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[1]", "an array"),
        ("1", "a number"),
        ("true", "true or false"),
        ("null", "null"),
        ('"x"', "a string"),
        ("{", "not valid JSON"),
        ("{'a': 1}", "Quote it"),
        ('{"a": NaN}', "NaN"),
        ("[" * 100_000, "not valid JSON"),
        ("@/no/such/file", "cannot read"),
    ],
)
def test_what_is_no_json_object_is_refused_with_its_name(text: str, told: str) -> None:
    with pytest.raises(click.BadParameter, match=told):
        json_object(text, option="--args")


def test_a_name_is_never_changed_and_never_half_stored() -> None:
    assert NAME.convert(" Ünïcode 'x\" 🦆; drop table job -- ", None, None) == " Ünïcode 'x\" 🦆; drop table job -- "
    for bad in ("", "x" * 201, "a\0b", os.fsdecode(b"\xff")):
        with pytest.raises(click.BadParameter):
            NAME.convert(bad, None, None)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("mail", ("mail", None)),
        ("mail:5", ("mail", 5)),
        ("eu:mail", ("eu:mail", None)),
        ("eu:mail:5", ("eu:mail", 5)),
        ("5", ("5", None)),
        (":5", (":5", None)),
    ],
)
def test_a_queue_may_carry_a_limit(text: str, read: tuple[str, int | None]) -> None:
    assert Queue().convert(text, None, None) == read


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(click.BadParameter):
        Queue().convert("mail:0", None, None)

"""Typed values to JSON and back."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NewType, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgqueue._json import dumps
from pgqueue.convert import converter_for, dumps_value
from pgqueue.errors import NotSerialisable


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Shape(enum.Enum):
    ROUND = (1, 2)
    SQUARE = (3, 4)


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


@dataclass
class Node:
    name: str
    when: datetime | None = None
    children: list[Node] = field(default_factory=list)
    colour: Colour = Colour.RED


class Pair(NamedTuple):
    left: Decimal
    right: str = ""


class Options(TypedDict, total=False):
    since: date
    limit: int


class Model(pydantic.BaseModel):
    id: UUID
    parts: list[int] = []
    label: str | None = pydantic.Field(default=None, alias="Label")


class StrictModel(pydantic.BaseModel, strict=True):
    when: datetime


class Cat(pydantic.BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(pydantic.BaseModel):
    kind: Literal["dog"] = "dog"
    tricks: list[str]


class Struct(msgspec.Struct):
    id: int
    when: datetime
    sizes: dict[int, str] = {}


class Get(msgspec.Struct, tag=True):
    path: str


class Put(msgspec.Struct, tag=True):
    path: str
    body: bytes


UserId = NewType("UserId", UUID)
Pet = Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]

names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
# Fixed offsets: JSON carries no zone names, and Python calls no two times around a change of the clocks equal.
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(timezones=st.none() | offsets)
nodes = st.builds(Node, names, st.none() | moments, st.just([]), st.sampled_from(Colour))
trees = st.recursive(nodes, lambda inner: st.builds(Node, names, st.none() | moments, st.lists(inner, max_size=3)))

CASES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (datetime, moments),
    (date, st.dates()),
    (time, st.times()),
    (timedelta, st.timedeltas()),
    (UUID, st.uuids()),
    (UserId, st.uuids()),
    (Decimal, st.decimals(allow_nan=False)),
    (Path, st.just(Path("/tmp/x"))),
    (Colour, st.sampled_from(Colour)),
    (Shape, st.sampled_from(Shape)),
    (Rights, st.sampled_from([Rights.READ, Rights.READ | Rights.WRITE])),
    (Node, trees),
    (Pair, st.builds(Pair, st.decimals(allow_nan=False), names)),
    (Options, st.fixed_dictionaries({}, optional={"since": st.dates(), "limit": st.integers()})),
    (list[Node], st.lists(trees, max_size=3)),
    (dict[str, date], st.dictionaries(names, st.dates())),
    (tuple[int, date], st.tuples(st.integers(), st.dates())),
    (tuple[date, ...], st.lists(st.dates()).map(tuple)),
    (tuple, st.lists(st.integers()).map(tuple)),
    (date | None, st.none() | st.dates()),
    (date | int | None, st.none() | st.dates() | st.integers()),
    (Node | Colour | list[int], trees | st.sampled_from(Colour) | st.lists(st.integers())),
    (Annotated[date, "some metadata"], st.dates()),
    (Model, st.builds(Model, id=st.uuids(), parts=st.lists(st.integers()), Label=st.none() | names)),
    (StrictModel, st.builds(StrictModel, when=moments)),
    (Cat | Dog, st.builds(Cat, lives=st.integers()) | st.builds(Dog, tricks=st.lists(names))),
    (Pet | None, st.none() | st.builds(Cat, lives=st.integers()) | st.builds(Dog, tricks=st.lists(names))),
    (Struct, st.builds(Struct, st.integers(0, 2**60), moments, st.dictionaries(st.integers(0, 9), names))),
    (Get | Put, st.builds(Get, names) | st.builds(Put, names, st.binary())),
]


@pytest.mark.parametrize(("annotation", "values"), CASES, ids=[str(case[0]) for case in CASES])
def test_round_trip(annotation: Any, values: st.SearchStrategy[Any]) -> None:
    converter = converter_for(annotation)
    assert converter is not None

    @given(values)
    def round_trip(value: Any) -> None:
        assert converter.accepts(value)
        back = converter.decode(json.loads(dumps(converter.encode(value))))
        assert back == value
        assert type(back) is type(value)

    round_trip()


@pytest.mark.parametrize(
    "annotation",
    [
        int,
        str,
        float,
        bool,
        None,
        Any,
        object,
        dict,
        list,
        dict[str, Any],
        list[int],
        int | None,
        str | list[str],
        Literal["a", 1],
        set,
        set[int],
        bytes,
        dict[int, str],
        date | datetime,
        date | str,
        Node | Pair,
        Cat | dict[str, Any],
    ],
    ids=str,
)
def test_no_converter_where_json_is_promised_or_nothing_certain_can_be(annotation: Any) -> None:
    assert converter_for(annotation) is None


@dataclass
class Derived(Node):
    pass


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (datetime, "2020-01-01"),
        (date, datetime(2020, 1, 1)),
        (Colour, "red"),
        (Node, {"name": "a"}),
        (Node, Derived("a")),
        (Node, Node("a", children=["b"])),  # type: ignore[list-item]
        (list[date], {"a": 1}),
        (list[date], [date(2020, 1, 1), "x"]),
        (tuple[int, date], (1,)),
        (Model, {"id": "x"}),
        (Struct, Get("x")),
        (Cat | Dog, Model(id=UUID(int=1))),
        (date | int, "x"),
    ],
)
def test_what_would_come_back_as_something_else_is_refused(annotation: Any, value: Any) -> None:
    converter = converter_for(annotation)
    assert converter is not None
    with pytest.raises(TypeError):
        converter.encode(value)


@pytest.mark.parametrize(
    ("annotation", "document"),
    [(date, "tomorrow"), (Node, {"nome": "a"}), (Node, [1]), (Colour, "green"), (Model, {}), (Struct, {"id": "x"})],
)
def test_a_document_that_does_not_fit_is_an_error(annotation: Any, document: Any) -> None:
    converter = converter_for(annotation)
    assert converter is not None
    with pytest.raises((ValueError, TypeError)):
        converter.decode(document)


def test_results_are_written_by_their_own_types_when_nothing_is_annotated() -> None:
    value = {
        "at": date(2020, 1, 2),
        "who": [Node("n"), Pair(Decimal("1.5"))],
        "m": Model(id=UUID(int=1)),
        "c": Colour.RED,
    }
    assert json.loads(dumps_value(value, "the result")) == {
        "at": "2020-01-02",
        "who": [{"name": "n", "when": None, "children": [], "colour": "red"}, {"left": "1.5", "right": ""}],
        "m": {"id": str(UUID(int=1)), "parts": [], "Label": None},
        "c": "red",
    }


@pytest.mark.parametrize("value", [{1, 2}, b"x", object(), {"a": float("nan")}, {1: 2}, lambda: 1, [open]])
def test_results_that_cannot_be_written_are_refused(value: Any) -> None:
    with pytest.raises(NotSerialisable, match="the result"):
        dumps_value(value, "the result")


def test_a_result_that_is_not_what_its_annotation_says_is_written_by_its_own_type() -> None:
    assert dumps_value(5, "the result", converter_for(date)) == "5"

"""Strict JSON: what goes out comes back, and what would not is refused by name."""

from __future__ import annotations

import json
import math
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgqueue._json import dumps, dumps_lossy
from pgqueue.errors import NotSerialisable

storable = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | storable
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(storable, inner, max_size=4), max_leaves=12
)


@given(documents)
def test_what_is_json_comes_back(value: Any) -> None:
    assert json.loads(dumps(value)) == value


@given(st.dictionaries(st.text(min_size=1, max_size=5), documents, max_size=5), st.data())
def test_anything_else_is_refused_wherever_it_hides(value: dict[str, Any], data: st.DataObject) -> None:
    bad = data.draw(
        st.sampled_from([math.nan, math.inf, {1}, frozenset(), b"x", "a\0b", "\ud800", {1: 2}, {None: 1}, object(), 1j])
    )
    nested = data.draw(st.sampled_from([bad, [bad], {"k": bad}, [[{"k": [1, bad]}]]]))
    with pytest.raises(NotSerialisable):
        dumps({**value, "here": nested}, "argument")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"x": {1}}, "argument 'x' is of type set"),
        ({"x": [0, {"y": b""}]}, "argument 'x' (at [1].y) is of type bytes"),
        ({"x": {"y": math.nan}}, "argument 'x' (at .y) is nan"),
        ({"x": "a\0"}, "argument 'x' contains a NUL"),
        ({"x": {"\0": 1}}, "argument 'x' (at "),
        ({"x": "\udc00"}, "argument 'x' contains a lone surrogate"),
        ({"x": {7: 1}}, "argument 'x' has the key 7"),
        ({"x": 10**5000}, "argument 'x' is an integer of more than"),
        ({"x": ...}, "argument 'x' is of type ellipsis"),
    ],
)
def test_messages_name_the_place(value: dict[str, Any], words: str) -> None:
    with pytest.raises(NotSerialisable) as caught:
        dumps(value, "argument")
    assert words in caught.value.message


def test_a_text_that_only_looks_like_a_nul_is_fine() -> None:
    assert json.loads(dumps({"x": "\\u0000"})) == {"x": "\\u0000"}


def test_a_document_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(NotSerialisable):
        dumps({"x": loop}, "argument")


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Point(NamedTuple):
    x: int


def test_scalars_of_derived_types_count_as_what_they_are() -> None:
    assert dumps({"c": Colour.RED, "l": Level.HIGH, "t": (1, 2)}) == '{"c":"red","l":3,"t":[1,2]}'


def test_a_named_tuple_would_come_back_as_a_list() -> None:
    with pytest.raises(NotSerialisable):
        dumps({"p": Point(1)}, "argument")


@given(
    st.recursive(
        st.none() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
        max_leaves=8,
    )
)
def test_error_documents_are_never_refused(value: Any) -> None:
    text = dumps_lossy(value)
    assert "\\u0000" not in text
    text.encode()
    json.loads(text)

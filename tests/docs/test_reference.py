"""Pages that are read off must be what the generator would write now, and tables that repeat the code must agree."""

from __future__ import annotations

import importlib.util
import re
import sys
from types import ModuleType

import pytest

from pgqueue import errors
from tests.docs.pages import ROOT
from tests.support.cluster import Database


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pgqueue_docs_generate", ROOT / "docs" / "reference" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_pages_are_fresh(generate: ModuleType, pg: Database) -> None:
    old = [path.name for path in generate.stale(pg.connect())]
    assert not old, f"{old}: run docs/reference/generate.py"


def test_every_public_function_says_what_it_does(generate: ModuleType, pg: Database) -> None:
    silent = [r.name for r in generate.routines(pg.connect()) if r.is_public and not r.comment]
    assert not silent


def test_the_table_of_errors_is_that_of_the_code() -> None:
    page = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")
    told: dict[str, str] = {}
    for exception, states in re.findall(r"^\| `(\w+)` \|[^|]*\| ([^|]*) \|", page, re.MULTILINE):
        told.update(dict.fromkeys(re.findall(r"`(\w+)`", states), exception))
    known = {**errors._BY_STATE, **errors._BY_CLASS}
    assert told == {state: kind.__name__ for state, kind in known.items()}
    named = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert named == {name for name in errors.__all__ if name not in ("note", "translate")}

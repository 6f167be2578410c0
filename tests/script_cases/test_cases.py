"""Every case of cases.json, the nested ones in their flat form too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.script_cases.runner import Runner, needs_own_workers, needs_processes

CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("cases.json").read_text())["cases"]
FORMS = [(case, as_flat) for case in CASES for as_flat in (False, True) if not as_flat or case.get("also_flat")]


@pytest.mark.parametrize(("case", "as_flat"), FORMS, ids=[case["name"] + "/flat" * flat for case, flat in FORMS])
@pytest.mark.slow
def test_case(case: dict[str, Any], as_flat: bool, request: pytest.FixtureRequest) -> None:
    workers = "processes" if needs_processes(case) else "own" if needs_own_workers(case) else "shared"
    runner: Runner = request.getfixturevalue(workers)
    for _ in range(case.get("repeat", 1)):
        runner.run(case, as_flat=as_flat)

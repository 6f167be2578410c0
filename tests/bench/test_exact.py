"""Exact counts, short; and that what is not exact is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgqueue.bench import Bench, WrongCounts
from pgqueue.bench.workloads import exact
from pgqueue.bench.workloads._tasks import _ENTRY, Entry, entries


@pytest.mark.slow
def test_exact(bench: Bench) -> None:
    through_sql, by_workers = exact.run(bench)
    for figure in (through_sql, by_workers):
        assert figure.value == 400 and figure.holds
        assert figure.details["retried"] == 40
    assert 1 <= by_workers.details["most_at_once_limited"] <= exact.MAX_RUNNING
    assert 1 <= by_workers.details["most_at_once_of_a_group"] <= exact.GROUP_LIMIT


def test_runs_that_are_doubled_or_missing_are_found() -> None:
    one, other = Entry(1, 1, 0, 0.0, 1.0), Entry(2, 1, 0, 0.0, 1.0)
    exact._check_runs([one, other], 2)
    with pytest.raises(WrongCounts, match=r"run twice: \[\(1, 1\)\]"):
        exact._check_runs([one, one], 2)
    with pytest.raises(WrongCounts, match="1 runs instead of 2"):
        exact._check_runs([one], 2)


def test_how_many_ran_at_once() -> None:
    runs = [Entry(1, 1, 0, 0.0, 2.0), Entry(2, 1, 0, 1.0, 3.0), Entry(3, 1, 0, 2.0, 4.0), Entry(4, 1, 0, 9.0, 9.5)]
    assert exact._most_at_once(runs) == 2
    assert exact._most_at_once(runs[3:]) == 1


def test_the_books_are_read_of_all_processes(tmp_path: Path) -> None:
    for pid in (10, 11):
        (tmp_path / f"{pid}.book").write_bytes(_ENTRY.pack(pid, 1, -1, 0.5, 1.5))
    assert sorted(entries(tmp_path)) == [Entry(10, 1, -1, 0.5, 1.5), Entry(11, 1, -1, 0.5, 1.5)]

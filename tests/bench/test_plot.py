"""Pictures: one for each pair of axes of a workload, one of all ratios, the same file for the same figures."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from pgqueue.bench import Figure
from pgqueue.bench._plot import draw

FIGURES = [
    Figure("claim", "with history", 50.0, "jobs/s", 100.0, 0.5, floor=0.6,
           series={"with <history>": [(1.0, 50.0), (2.0, 51.0)], "limit": [(0.5, 100.0)]}, axes=("round", "jobs/s")),
    Figure("claim", "without history", 70.0, "jobs/s", 100.0, 0.7, floor=0.65,
           series={"without": [(1.0, 70.0)]}, axes=("round", "jobs/s")),
    Figure("soak", "p99", 2.0, "ms", floor=3.0, at_most=True,
           series={"p99": [(float(n), 2.0) for n in range(100)]}, axes=("seconds", "ms")),
    Figure("soak", "sizes", 8.0, "MB", series={"ready": [(0.0, 0.0), (1.0, 8.0)]}, axes=("seconds", "MB")),
    Figure("soak-long", "sizes", 8.0, "MB", series={"ready": []}, axes=("seconds", "MB")),
]  # fmt: skip


@pytest.mark.slow
def test_pictures_are_written_and_say_what_they_show(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra bench is not installed")
    folder = tmp_path / "some" / "pictures"
    written = draw(FIGURES, folder)
    assert [path.name for path in written] == ["claim.svg", "soak.svg", "soak-2.svg", "ratios.svg"]
    for path in written:
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
    text = (folder / "claim.svg").read_text()
    assert "with &lt;history&gt;" in text and "jobs/s" in text
    assert "claim: without history / limit" in (folder / "ratios.svg").read_text()
    again = draw(FIGURES, tmp_path)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in written]


def test_figures_without_points_and_ratios_make_no_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra bench is not installed")
    assert draw([Figure("wal", "bytes", 700.0, "bytes")], tmp_path) == []

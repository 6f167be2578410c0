"""Pictures of figures, as SVG. matplotlib comes with the extra `bench` and is imported when somebody asks for one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from pgqueue.bench._figure import Figure
from pgqueue.errors import InvalidArgument

# Text stays text: smaller, and it can be searched. No random ids: the same figures, the same file.
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pgqueue",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
}


def require() -> Any:
    """matplotlib. Raises InvalidArgument when it is not installed."""
    try:
        return import_module("matplotlib")
    except ImportError as error:
        raise InvalidArgument(
            "pictures need matplotlib, which is not installed", "pip install 'pgqueue-sql[bench]'"
        ) from error


def draw(figures: Sequence[Figure], folder: Path) -> list[Path]:
    """One picture for each pair of axes of a workload that has series, and one of all ratios. Returns their paths.

    Raises InvalidArgument without matplotlib, OSError when the folder cannot be written.
    """
    matplotlib = require()
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(_STYLE):
        return _draw(figures, folder)


def _draw(figures: Sequence[Figure], folder: Path) -> list[Path]:
    pictures: dict[tuple[str, tuple[str, str]], list[Figure]] = {}
    for figure in figures:
        if any(figure.series.values()):
            pictures.setdefault((figure.workload, figure.axes), []).append(figure)
    written: list[Path] = []
    for (workload, axes), drawn in pictures.items():
        again = sum(path.name.startswith(f"{workload}.") or path.name.startswith(f"{workload}-") for path in written)
        path = folder / (f"{workload}-{again + 1}.svg" if again else f"{workload}.svg")
        _lines(path, workload, axes, drawn)
        written.append(path)
    ratios = [figure for figure in figures if figure.ratio is not None]
    if ratios:
        path = folder / "ratios.svg"
        _ratios(path, ratios)
        written.append(path)
    return written


def _lines(path: Path, workload: str, axes: tuple[str, str], figures: Iterable[Figure]) -> None:
    plot, area = _picture(7, 3.6)
    highest, drawn = 0.0, list[object]()
    for figure in figures:
        for name, points in figure.series.items():
            if not points or (name, points) in drawn:  # figures of the same rounds share their limit
                continue
            drawn.append((name, points))
            highest = max([highest, *(y for _, y in points)])
            look = {"color": "#8c8c8c", "linestyle": "--"} if name == "limit" else {}
            marker = "o" if len(points) <= 20 else None
            area.plot(*zip(*points, strict=True), marker=marker, markersize=3, linewidth=1.2, label=name, **look)
    area.set_title(workload, loc="left", fontweight="bold")
    area.set_xlabel(axes[0])
    area.set_ylabel(axes[1])
    # From zero: a steady rate must look steady.
    area.set_ylim(0, highest * 1.05 or 1)
    area.set_xlim(left=0)
    area.xaxis.get_major_locator().set_params(integer=axes[0] == "round")
    area.legend(frameon=False, loc="best")
    _save(plot, path)


def _ratios(path: Path, figures: Sequence[Figure]) -> None:
    plot, area = _picture(7, 0.9 + 0.27 * len(figures))
    places = range(len(figures), 0, -1)
    colours = {True: "#4c9f70", False: "#c44e52", None: "#8c8c8c"}
    area.barh(places, [figure.ratio for figure in figures], height=0.6, color=[colours[f.holds] for f in figures])
    for place, figure in zip(places, figures, strict=True):
        if figure.floor is not None and not figure.at_most:
            area.plot([figure.floor] * 2, [place - 0.4, place + 0.4], color="black", linewidth=1.5)
    area.set_yticks(list(places), [f"{f.workload}: {f.name} / {f.of}" for f in figures])
    area.set_xlim(left=0)
    area.set_xlabel("ratio; the black line is the floor")
    _save(plot, path)


def _picture(wide: float, high: float) -> tuple[Any, Any]:
    plot = import_module("matplotlib.figure").Figure(figsize=(wide, high), layout="constrained")
    return plot, plot.add_subplot()


def _save(plot: Any, path: Path) -> None:
    plot.savefig(path, format="svg", metadata={"Date": None})

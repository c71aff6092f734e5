"""The charts of a report as files, each as SVG and as PNG. Neighbour: `lab/charts/render.py` draws them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from stockade.lab.charts import WIDE, png, svg, titled
from stockade.lab.report.page import Report

KINDS: Final = ("svg", "png")


def write_pictures(report: Report, folder: Path, kinds: Sequence[str] = KINDS, *, headed: bool = True) -> list[Path]:
    """Write the chart of every figure; files of other charts stay.

    Args:
        report: of the lab.
        folder: is made if it is not there.
        kinds: `svg`, `png`, or both.
        headed: with the title above; Markdown has it already.

    Raises:
        ChartsMissing: the library that draws is not installed.
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for figure in report.figures:
        spec = figure.draw(WIDE)
        spec = titled(spec, figure.title) if headed else spec
        if "svg" in kinds:
            found.append(folder / f"{figure.name}.svg")
            found[-1].write_text(svg(spec, alternative=figure.says, alone=True) + "\n", encoding="utf-8")
        if "png" in kinds:
            found.append(folder / f"{figure.name}.png")
            found[-1].write_bytes(png(spec))
    return found

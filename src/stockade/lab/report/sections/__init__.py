"""The sections of a report, in their order. A new section is one file here and one line in `SECTIONS`.

A file has `section(sources)`, which returns None where no document has what it shows, and `MISSING`, which names the
command that measures it. Neighbour: `build.py` puts them together.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from stockade.lab.report.documents import Source
from stockade.lab.report.page import Missing, Section
from stockade.lab.report.sections import (
    claims,
    comparison,
    cost,
    deadlock,
    faults,
    latency,
    payments,
    ring,
    sweeps,
    throughput,
    waiting,
)


class Maker(NamedTuple):
    """How a section is made, and what to say where it is left out."""

    make: Callable[[Sequence[Source]], Section | None]
    missing: Missing


SECTIONS: Final = tuple(
    Maker(each.section, each.MISSING)
    for each in (
        comparison,
        latency,
        waiting,
        cost,
        sweeps,
        throughput,
        faults,
        ring,
        deadlock,
        payments,
        claims,
    )
)

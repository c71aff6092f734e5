"""Which cells of the ring the test suite plays today: few, as different as possible, others each day."""

import random
from dataclasses import replace
from datetime import UTC, datetime

from stockade.lab.ring.design import design
from stockade.lab.ring.expectation import HELD

CELLS = 6  # one of them a control that must be caught
MOST_FAULTS = 2  # at once: more of them take longer to heal


def seed_of_today():
    """The day of the world clock as a number, 20260102: with it a cell can be played again tomorrow."""
    return int(datetime.now(UTC).strftime("%Y%m%d"))


def short_ring(parts, seed, cells=CELLS):
    """A control, and of the ring of this seed the cells that have most that the others have not."""
    rng = random.Random(f"short-{seed}")
    ring = list(design(parts, seed).cells)
    rng.shuffle(ring)
    chosen = [next(cell for cell in ring if parts.is_control(cell))]
    held = [cell for cell in ring if cell.faults and parts.expectation(cell) == HELD]
    ring = [replace(cell, faults=tuple(rng.sample(cell.faults, min(len(cell.faults), MOST_FAULTS)))) for cell in held]
    while ring and len(chosen) < cells:
        seen = [value for cell in chosen for value in _values(cell)]
        best = max(ring, key=lambda cell: sum(1 / (1 + seen.count(value)) for value in _values(cell)))
        chosen.append(best)
        ring.remove(best)
    return chosen


def _values(cell):
    return (cell.database, cell.contender, cell.workload, *cell.faults)

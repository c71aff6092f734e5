"""Charging points: a balance of 100, then three charges of 100 at once. Right is 400; a lost update leaves 200.

The numbers are those of the Java project's report (docs/glossary.md).
"""

from stockade.lab.model.burst import Burst, RepeatNames
from stockade.lab.model.preset import Preset, Variant

AMOUNT = 100


def workload(names: RepeatNames) -> Burst:
    """Charges with different idempotency keys, on one account."""
    return names.charges(range(names.buyers), AMOUNT)


PRESET = Preset(
    "charge",
    (
        Variant(
            label="",
            summary="100 points, 3 charges of 100 at once: 3 accepted, 400 left",
            workload=workload,
            buyers=3,
            stock=100,
        ),
    ),
)

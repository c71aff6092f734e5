"""Ten units for thirty buyers of one unit each: the Java project's test of its locks (docs/glossary.md).

Right is 10 accepted, 20 OUT_OF_STOCK, 0 left.
"""

from stockade.lab.model.preset import Preset, Variant
from stockade.lab.presets.reference import workload

PRESET = Preset(
    "short-stock",
    (
        Variant(
            label="",
            summary="10 in stock, 30 orders of one unit at once: 10 accepted, 20 refused, 0 left",
            workload=workload,
            buyers=30,
            stock=10,
            allowed_rejection="OUT_OF_STOCK",
        ),
    ),
)

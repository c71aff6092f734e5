"""A sale: 500 users order one of 100 units at the same moment, and each pays with points. Right is 100 accepted.

The numbers are those of the load test in the Java project's report (docs/glossary.md):
there, 500 virtual users order at once, and 100 succeed.
"""

from stockade.lab.model.preset import Preset, Variant
from stockade.lab.presets.last_unit import workload

PRESET = Preset(
    "peak",
    (
        Variant(
            label="",
            summary="the report's load test: 100 in stock, 500 buyers at once: 100 accepted, 400 refused, 0 left",
            workload=workload,
            buyers=500,
            stock=100,
            allowed_rejection="OUT_OF_STOCK",
            repeats=5,
        ),
    ),
)

"""The peak of seed 000's load test: 500 users want one of 100 units at the same moment, each with own points.

Right is 100 orders paid, 400 OUT_OF_STOCK. The seed's own system sold 103 to 197 of the 100 when it was run.
"""

from stockade.lab.preset import Arm, Preset
from stockade.lab.presets.last_unit import scene

PRESET = Preset(
    "peak",
    (
        Arm(
            label="",
            summary="100 in stock, 500 buyers at once: 100 accepted, 400 refused, 0 left",
            scene=scene,
            buyers=500,
            stock=100,
            refusal="OUT_OF_STOCK",
            repeats=5,
        ),
    ),
)

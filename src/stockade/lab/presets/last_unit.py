"""The last unit of seed 000: stock 1, three buyers who pay with points at once. Naive code sells it three times.

Right is one order, two OUT_OF_STOCK, and nothing charged to the two who were refused.
"""

from stockade.core import Key
from stockade.lab.preset import Arm, Preset, Scene
from stockade.lab.repeat_names import Stage

PRICE = 1000


def scene(stage: Stage) -> Scene:
    """Each buyer charges what one unit costs, then all order one at once."""
    product, stock = stage.product(1, PRICE, stage.stock)
    users = [stage.id("user", n) for n in range(stage.buyers)]
    charges = tuple(stage.charge(f"open-{n}", user, PRICE) for n, user in enumerate(users))
    orders = tuple(stage.order(n, user, stock, "POINTS") for n, user in enumerate(users))
    accounts = tuple(Key("points", user) for user in users)
    return Scene((product, *charges), orders, stock, stage.stock, step=-1, others=accounts)


PRESET = Preset(
    "seed-000-last-unit",
    (
        Arm(
            label="",
            summary="1 in stock, 3 buyers at once: 1 accepted, 2 refused and not charged",
            scene=scene,
            buyers=3,
            stock=1,
            refusal="OUT_OF_STOCK",
        ),
    ),
)

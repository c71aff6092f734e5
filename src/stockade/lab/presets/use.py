"""Using points in seed 000: 1000, then three orders of 100 at once. Naive code ends at 900; right is 700.

Each order takes a product of its own, so that the account is the only row the three meet on.
"""

from stockade.core import Key
from stockade.lab.preset import Arm, Preset, Scene
from stockade.lab.repeat_names import Stage

PRICE = 100
MOST = 100  # SKUs that one product may have


def scene(stage: Stage) -> Scene:
    """Orders paid at once from one account, each of a product of its own."""
    if stage.buyers > MOST:
        raise ValueError(f"use takes at most {MOST} buyers, not {stage.buyers}")
    product, stock = stage.product(stage.buyers, PRICE, stock=1)
    user = stage.id("user")
    opened = (stage.charge("open", user, stage.stock),) if stage.stock else ()
    orders = tuple(stage.order(n, user, stock[n : n + 1], "POINTS") for n in range(stage.buyers))
    return Scene((product, *opened), orders, (Key("points", user),), stage.stock, step=-PRICE, others=stock)


PRESET = Preset(
    "use",
    (
        Arm(
            label="",
            summary="1000 points, 3 orders of 100 at once: 3 accepted, 700 left",
            scene=scene,
            buyers=3,
            stock=1000,
            refusal="INSUFFICIENT_POINTS",
        ),
    ),
)

"""The reference test of seed 004: 20 in stock, 30 orders of one unit at once, price 1000, all by one user.

The order form of the seed takes no points and only deducts stock. So the order here is one that is paid later: it
takes its unit as a reservation, and the only row that the 30 meet on is the stock, as in the seed. Right is 20 yes,
10 OUT_OF_STOCK, 0 left. The seed asserted the last figure only, once, and after a sleep in the Kafka form.
"""

from stockade.lab.preset import Arm, Preset, Scene
from stockade.lab.repeat_names import Stage


def scene(stage: Stage) -> Scene:
    """Thirty orders of one unit of the one product, all by one user."""
    product, stock = stage.product(1, price=1000, stock=stage.stock)
    user = stage.id("user")
    orders = tuple(stage.order(n, user, stock, "LATER") for n in range(stage.buyers))
    return Scene((product,), orders, stock, opening=stage.stock, step=-1)


PRESET = Preset(
    "seed-004",
    (
        Arm(
            label="",
            summary="20 in stock, 30 orders of one unit at once: 20 accepted, 10 refused, 0 left",
            scene=scene,
            buyers=30,
            stock=20,
            refusal="OUT_OF_STOCK",
            published_ms={"pessimistic": 527, "redis-spin": 1129, "redis-pubsub": 584, "kafka": 377},
        ),
    ),
)

"""Carts in opposite orders: three lines of 100 products, every second buyer names the same three from the other end.

Locked in the order they are named, two such carts wait for each other: a deadlock (seed 000, the four conditions).
Locked in the order of the keys they cannot. Every product has enough, so every order must be accepted when the
rows are taken in order. In the other arm some may give up: PostgreSQL looks for a deadlock only after a second.
"""

import random

from stockade.lab.preset import Arm, Preset, Scene
from stockade.lab.repeat_names import Stage

PRODUCTS = 100
LINES = 3


def scene(stage: Stage) -> Scene:
    """Pairs of buyers with the same three products, named from both ends."""
    each = stage.stock // PRODUCTS
    if each < stage.buyers:
        raise ValueError(f"cart needs a stock of at least {stage.buyers * PRODUCTS} for {stage.buyers} buyers")
    product, stock = stage.product(PRODUCTS, price=1000, stock=each)
    rng = random.Random(stage.repeat)
    orders = []
    for n in range(stage.buyers):
        if n % 2 == 0:
            cart = tuple(rng.sample(stock, LINES))
        orders.append(stage.order(n, stage.id("user", n), cart if n % 2 == 0 else cart[::-1], "LATER"))
    return Scene((product,), tuple(orders), stock, opening=each * PRODUCTS, step=-LINES)


PRESET = Preset(
    "cart",
    (
        Arm(
            label="sorted",
            summary="3 of 100 products in opposite orders, rows taken in key order: no deadlock",
            scene=scene,
            buyers=30,
            stock=3000,
            one_row=False,
            deadlocks="none",
        ),
        Arm(
            label="unsorted",
            summary="the same, rows locked in the order the buyer names them: deadlocks",
            scene=scene,
            buyers=30,
            stock=3000,
            one_row=False,
            deadlocks="some",
            keep_request_order=True,
            strategies=("pessimistic",),
            not_on=("sqlite",),
            repeats=5,
        ),
    ),
)

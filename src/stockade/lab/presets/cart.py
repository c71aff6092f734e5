"""Carts in opposite orders: three lines of 100 products; every second buyer names the same three in reverse.

Two such carts deadlock if each locks its rows in the order in which the buyer names them. They cannot deadlock if both
lock in key order (Coffman et al. 1971). There is enough of every product, so that all orders must be accepted.
"""

import random

from stockade.lab.model.burst import Burst, RepeatNames
from stockade.lab.model.preset import Preset, Variant

PRODUCTS = 100
LINES = 3


def workload(names: RepeatNames) -> Burst:
    """Pairs of buyers who order the same three products in opposite orders."""
    each = names.stock // PRODUCTS
    if each < names.buyers:
        raise ValueError(f"cart needs a stock of at least {names.buyers * PRODUCTS} for {names.buyers} buyers")
    product, stock = names.product(PRODUCTS, price=1000, stock=each)
    rng = random.Random(names.repeat)
    orders = []
    for n in range(names.buyers):
        if n % 2 == 0:
            cart = tuple(rng.sample(stock, LINES))
        orders.append(names.order(n, names.id("user", n), cart if n % 2 == 0 else cart[::-1], "LATER"))
    return Burst((product,), tuple(orders), stock, initial=each * PRODUCTS, change=-LINES)


PRESET = Preset(
    "cart",
    (
        Variant(
            label="sorted",
            summary="3 of 100 products in opposite orders, rows taken in key order: no deadlock",
            workload=workload,
            buyers=30,
            stock=3000,
            single_row=False,
            deadlocks="none",
        ),
        Variant(
            label="unsorted",
            summary="the same, rows locked in the order the buyer names them: deadlocks",
            workload=workload,
            buyers=30,
            stock=3000,
            single_row=False,
            deadlocks="some",  # requests may fail here: PostgreSQL looks for a deadlock only after a second
            keep_request_order=True,
            strategies=("pessimistic",),
            excluded_databases=("sqlite",),
            repeats=5,
        ),
    ),
)

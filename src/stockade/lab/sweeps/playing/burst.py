"""The orders of one burst of a sweep: so many buyers at once of one unit each, spread over so many rows by Zipf's law.

The seed decides who orders what, so every strategy of a round gets the same orders. Neighbours: `axes.py` has the
setting, `presets/reference.py` is the case of one row.
"""

import bisect
import itertools
import math
import random
from collections.abc import Mapping
from typing import Final

from stockade.core import Key
from stockade.lab.model.burst import Burst, RepeatNames
from stockade.lab.model.preset import Variant
from stockade.lab.sweeps.axes import POINTS, STOCK, Setting
from stockade.shop.commands import CreateProduct, NewSku

ENOUGH: Final = 2 / 3  # of what is asked for can be had, as in the reference test: 20 units for 30 buyers
PRICE: Final = 100
SKUS: Final = 100  # of one product, at most


def variant_of(resource: str, setting: Setting) -> Variant:
    """The burst as the lab's repeats know it.

    Args:
        resource: `stock` or `points`: the rows that buyers share.
        setting: buyers, keys and skew.
    """
    make = _stock if resource == STOCK else _points
    return Variant(
        label="",
        summary=f"{setting.buyers} orders at once that share {setting.keys} rows of {resource}",
        workload=lambda names: make(names, chosen_keys(setting, names.repeat)),
        buyers=setting.buyers,
        stock=0,
        allowed_rejection="INSUFFICIENT_POINTS" if resource == POINTS else "OUT_OF_STOCK",
        single_row=setting.keys == 1,
    )


def chosen_keys(setting: Setting, seed: int) -> list[int]:
    """The row that each buyer wants, by number.

    Args:
        setting: buyers, keys, skew.
        seed: equal seeds choose equally.
    """
    if setting.keys == 1:
        return [0] * setting.buyers
    rng = random.Random(f"burst-{seed}")
    sums = list(itertools.accumulate(rank**-setting.skew for rank in range(1, setting.keys + 1)))
    return [bisect.bisect_left(sums, rng.random() * sums[-1]) for _ in range(setting.buyers)]


def _shares(wanted: list[int]) -> dict[int, int]:
    """By row: how many of its buyers can have what they ask for; every row that somebody wants has at least one."""
    return {row: max(1, math.floor(wanted.count(row) * ENOUGH)) for row in sorted(set(wanted))}


def _stock(names: RepeatNames, wanted: list[int]) -> Burst:
    """Orders that are paid later, so that a row of stock is the only one that they share."""
    shares = _shares(wanted)
    products, keys = _products(names, shares)
    orders = tuple(names.order(n, names.id("user"), (keys[row],), "LATER") for n, row in enumerate(wanted))
    return Burst(products, orders, tuple(keys.values()), sum(shares.values()), change=-1)


def _points(names: RepeatNames, wanted: list[int]) -> Burst:
    """Orders of a product of their own that few accounts pay at once, so that an account is the only shared row."""
    shares = _shares(wanted)
    accounts = {row: names.id("user", row) for row in shares}
    opened = tuple(names.charge(f"open-{row}", accounts[row], units * PRICE) for row, units in shares.items())
    products, keys = _products(names, dict.fromkeys(range(len(wanted)), 1))
    orders = tuple(names.order(n, accounts[row], (keys[n],), "POINTS") for n, row in enumerate(wanted))
    return Burst(
        (*products, *opened),
        orders,
        tuple(Key("points", user) for user in accounts.values()),
        sum(shares.values()) * PRICE,
        change=-PRICE,
        other_rows=tuple(keys.values()),
    )


def _products(names: RepeatNames, units: Mapping[int, int]) -> tuple[tuple[CreateProduct, ...], dict[int, Key]]:
    """Commands that create a row of stock for each number, with so many units, and their keys."""
    keys = {number: Key("stock", names.id("sku", number)) for number in units}
    numbers, commands = list(units), list[CreateProduct]()
    for at in range(0, len(numbers), SKUS):
        new = tuple(NewSku(PRICE, units[number], keys[number].id) for number in numbers[at : at + SKUS])
        made = (*names.request("product", at), "lab", "lab", new)
        commands.append(CreateProduct(*made, product_id=names.id("product", at)))
    return tuple(commands), keys

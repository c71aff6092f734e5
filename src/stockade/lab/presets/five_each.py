"""Two hundred buyers, each with five orders of one unit of the same SKU, all at once: a thousand orders on one row.

The numbers are those of the Java project's comparison of locks (docs/glossary.md): 200 threads that take the lock five
times each. There is enough, so that every order must be accepted.
"""

from stockade.lab.model.burst import Burst, RepeatNames
from stockade.lab.model.preset import Preset, Variant

EACH = 5


def workload(names: RepeatNames) -> Burst:
    """Five orders of each buyer, paid later, so that the stock is the only row that they share."""
    product, stock = names.product(1, price=1000, stock=names.stock)
    orders = tuple(
        names.order(n * EACH + number, names.id("user", n), stock, "LATER")
        for number in range(EACH)
        for n in range(names.buyers)
    )
    return Burst((product,), orders, stock, initial=names.stock, change=-1)


PRESET = Preset(
    "five-each",
    (
        Variant(
            label="",
            summary="1000 in stock, 200 buyers with 5 orders each at once: 1000 accepted, 0 left",
            workload=workload,
            buyers=200,
            stock=1_000,
            allowed_rejection="OUT_OF_STOCK",
            repeats=5,
        ),
    ),
)

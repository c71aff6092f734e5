"""Which figures of the Kotlin project's report stand beside ours. Neighbours: the lab's table and reports ask it."""

from collections.abc import Iterable

from stockade.lab.model.preset import Variant


def published(variant: Variant, strategies: Iterable[str], buyers: int, stock: int) -> dict[str, float]:
    """What was published of these strategies under this load, in ms by strategy.

    None for another load; nor if only one of them has a figure: figures of another machine say an order, no time.

    Args:
        variant: has the figures, and the load that they are of.
        strategies: that are compared.
        buyers: of a repeat.
        stock: at its start.
    """
    there = {name: variant.published_ms[name] for name in strategies if name in variant.published_ms}
    return there if len(there) > 1 and (buyers, stock) == (variant.buyers, variant.stock) else {}

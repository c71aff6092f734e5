"""A small shop in memory."""

import pytest

from tests.unit.shop.memory import MemoryShop


@pytest.fixture
def shop():
    """10 of `a` at 1000 won, 5 of `b` at 300; user `u` has 20,000 points."""
    found = MemoryShop()
    found.sku("a", price=1000, stock=10)
    found.sku("b", price=300, stock=5)
    found.charge("u", 20_000)
    return found

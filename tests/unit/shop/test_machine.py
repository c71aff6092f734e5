"""The pure domain against a simple model, over random histories; and a broken domain, which must be caught."""

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from stockade.core import Delete
from stockade.shop.commands import cancel_lines, cancel_order, pay_order, place_order
from stockade.shop.commands.cancelled import Left
from stockade.shop.commands.lines import Move
from tests.unit.shop.machine import ShopMachine
from tests.unit.shop.memory import MemoryShop

QUICK = settings(max_examples=60, stateful_step_count=40, deadline=None)
# derandomized: a control that is found by luck would fail by bad luck
FIND = settings(QUICK, max_examples=1000, phases=[Phase.generate], database=None, print_blob=False, derandomize=True)


class MemoryMachine(ShopMachine):
    """The machine over the shop in memory."""

    def __init__(self):
        super().__init__()
        self.shop = MemoryShop()

    def execute(self, command):
        return self.shop.execute(command)

    def stock(self, sku):
        return self.shop.stock(sku)

    def balance(self, user):
        return self.shop.balance(user)

    def cart(self):
        return set(self.shop.cart)

    def status(self, order_id):
        return self.shop.state("order", order_id).status


def test_the_shop_does_what_the_model_does():
    """Conservation, no negative, restore exactly once, legal states, stable replays: after every step."""
    run_state_machine_as_test(MemoryMachine, settings=QUICK)


def double_restore(monkeypatch):
    """Cancelling a reserved order also puts units on hand."""
    monkeypatch.setattr(cancel_order, "RELEASE_HELD", Move(1, -1, "release"))


def forget_reservations(monkeypatch):
    """Paying takes the units and leaves them reserved."""
    monkeypatch.setattr(pay_order, "DEDUCT_HELD", Move(-1, 0, "deduct"))


def keep_carts(monkeypatch):
    """An order takes nothing out of the cart."""
    monkeypatch.setattr(place_order, "Delete", lambda table, values: Delete(table, {**values, "sku_id": "other"}))


def forget_cancelled_lines(monkeypatch):
    """A cancellation of lines does not see those before it."""
    monkeypatch.setattr(cancel_lines, "what_is_left", lambda order, lines, rows: Left(tuple(lines)))


@pytest.mark.parametrize("break_it", [double_restore, forget_reservations, keep_carts, forget_cancelled_lines])
def test_a_broken_shop_is_caught(monkeypatch, break_it):
    """The control: each small change of the rules is found by the same machine."""
    break_it(monkeypatch)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(MemoryMachine, settings=FIND)

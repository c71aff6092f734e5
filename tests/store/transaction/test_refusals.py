"""A refusal under a compared guard rests on rows that were so at one moment, though each kind is read on its own."""

import pytest

from stockade.core import Accepted, Conflict, Guard, Key, Rejected
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.store.transaction import steps
from tests.store.commands import Buy, Charge, rid
from tests.store.conftest import soon

POINTS = Key("points", "u")
RESOURCES = {each.kind: each for each in SHOP_RESOURCES}


@pytest.fixture
async def late_charge(store, monkeypatch):
    """The store after 100 points were charged, whose next read of the account comes from before that charge."""
    (opened,) = await store.transact([Charge(rid("open"), amount=5)], Guard.ROW, deadline=soon())
    before = await store.database.read(
        lambda c: steps.load_rows(c, store.database.dialect, RESOURCES, [POINTS], lock=False)
    )
    (charged,) = await store.transact([Charge(rid("charge"), amount=95)], Guard.ROW, deadline=soon())
    assert opened.accepted
    assert charged.accepted
    load, stale = steps.load_rows, [before]

    def torn(*args, **options):
        rows = load(*args, **options)
        return {**rows, **stale.pop()} if stale and POINTS in rows else rows

    monkeypatch.setattr(steps, "load_rows", torn)
    return store


@pytest.mark.parametrize("guard", [Guard.VERSION, Guard.TIMESTAMP, Guard.DELTA], ids=lambda guard: guard.kind.value)
async def test_a_refusal_on_rows_of_two_moments_is_a_conflict(late_charge, guard):
    """Five points were there before the charge: the refusal is not recorded, and the next attempt buys."""
    (answer,) = await late_charge.transact([Buy(rid("buy"))], guard, deadline=soon())
    assert isinstance(answer, Conflict)
    (answer,) = await late_charge.transact([Buy(rid("buy"))], guard, deadline=soon())
    assert isinstance(answer, Accepted)


async def test_without_a_guard_such_a_refusal_stands(late_charge):
    """The control: NONE compares nothing, so the buyer is refused for points that were there."""
    (answer,) = await late_charge.transact([Buy(rid("buy"))], Guard.NONE, deadline=soon())
    assert isinstance(answer, Rejected)


async def test_a_refusal_on_rows_that_stay_is_recorded(store):
    """No account, so no points: refused at once, and the same again."""
    for replayed in (False, True):
        (answer,) = await store.transact([Buy(rid("buy"))], Guard.VERSION, deadline=soon())
        assert (answer.code, answer.replayed) == ("NOT_BOUGHT", replayed)

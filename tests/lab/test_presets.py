"""The presets have the published numbers, and discovery finds every file."""

from pathlib import Path

import pytest

from stockade.core import Key
from stockade.lab import presets as folder
from stockade.lab.model.burst import PREFIX, RepeatNames
from stockade.lab.presets import find, presets
from stockade.lab.reporting.published import published

EXPECTED = {  # variant: buyers, opening, accepted, left
    "reference": (30, 20, 20, 0),
    "last-unit": (3, 1, 1, 0),
    "charge": (3, 100, 3, 400),
    "use": (3, 1000, 3, 700),
    "double-tap:one-key": (10, 0, 10, 10_000),
    "double-tap:ten-keys": (10, 0, 10, 100_000),
    "peak": (500, 100, 100, 0),
    "five-each": (1000, 1000, 1000, 0),
    "short-stock": (30, 10, 10, 0),
    "overspend": (5, 10_000, 3, 1_000),
    "cart:sorted": (30, 3000, 30, 2910),
    "cart:unsorted": (30, 3000, 30, 2910),
    "payment-once": (20, 1, 1, 0),
    "payment-lost-reply:again": (10, 10, 10, 0),
    "payment-lost-reply:gone": (10, 10, 10, 0),
    "payment-slow-gateway": (60, 60, 60, 0),
}
VARIANTS = dict(find("all"))


def workload_of(variant, run="test", repeat=0):
    """One repeat of an variant as it is by default."""
    return variant.workload(RepeatNames(run, repeat, variant.buyers, variant.stock, now_ms=1))


def test_every_file_is_found():
    """A preset is one file, and no other file lists it."""
    files = {path.stem.replace("_", "-") for path in Path(folder.__file__).parent.glob("*.py")} - {"--init--"}
    assert set(presets()) == files
    assert set(VARIANTS) == set(EXPECTED)


def test_one_published_figure_alone_says_nothing():
    """Two or more of them say an order; those of another load none."""
    ((_, variant),) = find("reference")
    load = (variant.buyers, variant.stock)
    assert published(variant, ["optimistic", "pessimistic"], *load) == {}
    assert published(variant, ["kafka", "pessimistic"], *load) == {"kafka": 377, "pessimistic": 527}
    assert published(variant, ["kafka", "pessimistic"], 5, variant.stock) == {}


@pytest.mark.parametrize("name", VARIANTS)
def test_published_numbers(name):
    """Buyers, initial amount, accepted orders and what is left are the published numbers."""
    variant, workload = VARIANTS[name], workload_of(VARIANTS[name])
    requests = len({order.request_id for order in workload.orders})
    done = min(workload.expected_accepted, requests)
    figures = (
        len(workload.orders),
        workload.initial,
        workload.expected_accepted,
        workload.initial + workload.change * done,
    )
    assert figures == EXPECTED[name]
    assert variant.summary


@pytest.mark.parametrize("name", VARIANTS)
def test_repeats_share_nothing(name):
    """Each repeat has rows and requests of its own, all marked as the lab's."""
    one, other = workload_of(VARIANTS[name]), workload_of(VARIANTS[name], repeat=1)
    for this, that in ((one, other), (one, workload_of(VARIANTS[name], run="next"))):
        assert {*this.counted_rows, *this.other_rows}.isdisjoint({*that.counted_rows, *that.other_rows})
        ids = [{command.request_id for command in (*workload.setup, *workload.orders)} for workload in (this, that)]
        assert ids[0].isdisjoint(ids[1])
    assert all(key.id.startswith(PREFIX) for key in (*one.counted_rows, *one.other_rows))


@pytest.mark.parametrize("name", VARIANTS)
def test_the_checked_rows_are_those_that_are_touched(name):
    """Every row of stock or points that a buyer touches is among the rows that are checked."""
    workload = workload_of(VARIANTS[name])
    touched = {key for order in workload.orders for key in order.keys if key.kind == "stock"}
    paying = {Key("points", key.id) for order in workload.orders for key in order.keys if key.kind == "points"}
    checked = {*workload.counted_rows, *workload.other_rows}
    assert touched <= checked
    assert name in ("reference", "short-stock", "five-each") or name.startswith("cart") or paying <= checked


def test_one_key_is_one_request_and_ten_keys_are_ten():
    """The two variants differ in nothing but the intent that the keys carry."""
    assert len({order.request_id for order in workload_of(VARIANTS["double-tap:one-key"]).orders}) == 1
    assert len({order.request_id for order in workload_of(VARIANTS["double-tap:ten-keys"]).orders}) == 10


def test_carts_come_in_opposite_orders():
    """Every second buyer names the same three products from the other end, in both variants alike."""
    workload = workload_of(VARIANTS["cart:unsorted"])
    for one, other in zip(workload.orders[::2], workload.orders[1::2], strict=True):
        assert len({line.sku_id for line in one.lines}) == 3
        assert [line.sku_id for line in one.lines] == [line.sku_id for line in other.lines][::-1]
    assert [o.keys for o in workload_of(VARIANTS["cart:sorted"]).orders] == [o.keys for o in workload.orders]


def test_find_takes_names_arms_lists_and_all():
    """`cart` means both variants, `cart:sorted` one; nothing is run twice."""
    assert [name for name, _ in find("cart")] == ["cart:sorted", "cart:unsorted"]
    assert [name for name, _ in find("cart:sorted, reference,cart:sorted")] == ["cart:sorted", "reference"]
    assert [name for name, _ in find("reference")] == ["reference"]


@pytest.mark.parametrize("text", ["", "referenc", "cart:", "cart:other", "reference,,charge"])
def test_find_refuses_what_is_not_there(text):
    """The message lists the presets, or the variants of one."""
    with pytest.raises(ValueError, match=r"there are: cart(:sorted, cart:unsorted|, charge, double-tap)"):
        find(text)


@pytest.mark.parametrize(("old", "new"), [("seed-004", "reference"), ("seed-000-last-unit", "last-unit")])
def test_an_old_name_gives_the_new_one(old, new):
    """A preset that was renamed is not found by its old name, and the message says the new one."""
    with pytest.raises(ValueError, match=f"the preset '{old}' is now called '{new}'"):
        find(old)


@pytest.mark.parametrize(("name", "changes"), [("cart", {"stock": 99}), ("use", {"buyers": 101})])
def test_figures_that_cannot_be(name, changes):
    """A preset says what it needs when the user's figures make no sense for it."""
    variant = find(name)[0][1]
    figures = {"buyers": variant.buyers, "stock": variant.stock, **changes}
    with pytest.raises(ValueError, match=name):
        variant.workload(RepeatNames("test", 0, now_ms=1, **figures))

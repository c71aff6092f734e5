"""The presets say what the seeds say, and discovery finds every file."""

from pathlib import Path

import pytest

from stockade.core import Key
from stockade.lab import presets as folder
from stockade.lab.presets import DEFAULT, find, presets
from stockade.lab.repeat_names import PREFIX, Stage

EXPECTED = {  # arm: buyers, opening, accepted, left
    "seed-004": (30, 20, 20, 0),
    "seed-000-last-unit": (3, 1, 1, 0),
    "charge": (3, 100, 3, 400),
    "use": (3, 1000, 3, 700),
    "double-tap:one-key": (10, 0, 10, 10_000),
    "double-tap:ten-keys": (10, 0, 10, 100_000),
    "peak": (500, 100, 100, 0),
    "cart:sorted": (30, 3000, 30, 2910),
    "cart:unsorted": (30, 3000, 30, 2910),
}
ARMS = dict(find("all"))


def scene_of(arm, run="test", repeat=0):
    """One repeat of an arm as it is by default."""
    return arm.scene(Stage(run, repeat, arm.buyers, arm.stock, now_ms=1))


def test_every_file_is_found():
    """A preset is one file, and nothing else has to know it."""
    files = {path.stem.replace("_", "-") for path in Path(folder.__file__).parent.glob("*.py")} - {"--init--"}
    assert set(presets()) == files
    assert set(ARMS) == set(EXPECTED)


@pytest.mark.parametrize("name", ARMS)
def test_figures_of_the_seeds(name):
    """Buyers, what is there, how many must be served and what must be left are the seeds' figures."""
    arm, scene = ARMS[name], scene_of(ARMS[name])
    requests = len({order.request_id for order in scene.orders})
    done = min(scene.right_accepted, requests)
    figures = (len(scene.orders), scene.opening, scene.right_accepted, scene.opening + scene.step * done)
    assert figures == EXPECTED[name]
    assert arm.summary


@pytest.mark.parametrize("name", ARMS)
def test_repeats_share_nothing(name):
    """Each repeat has rows and requests of its own, all marked as the lab's."""
    one, other = scene_of(ARMS[name]), scene_of(ARMS[name], repeat=1)
    for this, that in ((one, other), (one, scene_of(ARMS[name], run="next"))):
        assert {*this.subjects, *this.others}.isdisjoint({*that.subjects, *that.others})
        ids = [{command.request_id for command in (*scene.setup, *scene.orders)} for scene in (this, that)]
        assert ids[0].isdisjoint(ids[1])
    assert all(key.id.startswith(PREFIX) for key in (*one.subjects, *one.others))


@pytest.mark.parametrize("name", ARMS)
def test_the_checked_rows_are_those_that_are_touched(name):
    """Every row of stock or points that a buyer touches is among the rows that are checked."""
    scene = scene_of(ARMS[name])
    touched = {key for order in scene.orders for key in order.keys if key.kind == "stock"}
    paying = {Key("points", key.id) for order in scene.orders for key in order.keys if key.kind == "points"}
    checked = {*scene.subjects, *scene.others}
    assert touched <= checked
    assert name == "seed-004" or name.startswith("cart") or paying <= checked


def test_one_key_is_one_request_and_ten_keys_are_ten():
    """The two arms differ in nothing but the intent that the keys carry."""
    assert len({order.request_id for order in scene_of(ARMS["double-tap:one-key"]).orders}) == 1
    assert len({order.request_id for order in scene_of(ARMS["double-tap:ten-keys"]).orders}) == 10


def test_carts_come_in_opposite_orders():
    """Every second buyer names the same three products from the other end, in both arms alike."""
    scene = scene_of(ARMS["cart:unsorted"])
    for one, other in zip(scene.orders[::2], scene.orders[1::2], strict=True):
        assert len({line.sku_id for line in one.lines}) == 3
        assert [line.sku_id for line in one.lines] == [line.sku_id for line in other.lines][::-1]
    assert [o.keys for o in scene_of(ARMS["cart:sorted"]).orders] == [o.keys for o in scene.orders]


def test_find_takes_names_arms_lists_and_all():
    """`cart` means both arms, `cart:sorted` one; nothing is run twice."""
    assert [name for name, _ in find("cart")] == ["cart:sorted", "cart:unsorted"]
    assert [name for name, _ in find("cart:sorted, seed-004,cart:sorted")] == ["cart:sorted", "seed-004"]
    assert [name for name, _ in find(DEFAULT)] == ["seed-004"]


@pytest.mark.parametrize("text", ["", "seed", "cart:", "cart:other", "seed-004,,charge"])
def test_find_refuses_what_is_not_there(text):
    """The message names what can be asked for."""
    with pytest.raises(ValueError, match="there are: cart, charge, double-tap"):
        find(text)


@pytest.mark.parametrize(("name", "changes"), [("cart", {"stock": 99}), ("use", {"buyers": 101})])
def test_figures_that_cannot_be(name, changes):
    """A preset says what it needs when the user's figures make no sense for it."""
    arm = find(name)[0][1]
    figures = {"buyers": arm.buyers, "stock": arm.stock, **changes}
    with pytest.raises(ValueError, match=name):
        arm.scene(Stage("test", 0, now_ms=1, **figures))

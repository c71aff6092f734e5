"""Charging points in seed 000: 100, then three times +100 at once, each meant. Naive code ends at 200; right is 400."""

from stockade.core import Key
from stockade.lab.preset import Arm, Preset, Scene
from stockade.lab.repeat_names import Stage

AMOUNT = 100


def scene(stage: Stage) -> Scene:
    """Charges with keys of their own, on one account."""
    user = stage.id("user")
    opened = (stage.charge("open", user, stage.stock),) if stage.stock else ()
    charges = tuple(stage.charge(n, user, AMOUNT) for n in range(stage.buyers))
    return Scene(opened, charges, (Key("points", user),), opening=stage.stock, step=AMOUNT)


PRESET = Preset(
    "charge",
    (Arm("", "100 points, 3 charges of 100 at once: 3 accepted, 400 left", scene, buyers=3, stock=100),),
)

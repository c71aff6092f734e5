"""The double click (따닥): ten times one charge. The seeds contradict each other on what is meant; the key says it.

With one idempotency key the ten are one intent: ten times the same answer, one charge. With ten keys all ten are meant.
The account does not exist before: ten first charges at once meet on a row that is not there yet.
"""

from stockade.core import Key
from stockade.lab.preset import Arm, Preset, Scene
from stockade.lab.repeat_names import Stage

AMOUNT = 10_000


def one_key(stage: Stage) -> Scene:
    """The same request from every buyer."""
    return _scene(stage, [0] * stage.buyers)


def ten_keys(stage: Stage) -> Scene:
    """A request of its own from every buyer."""
    return _scene(stage, list(range(stage.buyers)))


def _scene(stage: Stage, keys: list[int]) -> Scene:
    user = stage.id("user")
    opened = (stage.charge("open", user, stage.stock),) if stage.stock else ()
    charges = tuple(stage.charge(key, user, AMOUNT) for key in keys)
    return Scene(opened, charges, (Key("points", user),), opening=stage.stock, step=AMOUNT)


PRESET = Preset(
    "double-tap",
    (
        Arm(
            label="one-key",
            summary="one charge of 10000 sent 10 times with one key: 10 times the same answer, 10000 left",
            scene=one_key,
            buyers=10,
            stock=0,
            one_row=False,
            bites=False,  # the request id is claimed in the charge's own transaction, whatever the strategy
        ),
        Arm(
            label="ten-keys",
            summary="10 charges of 10000 with 10 keys: 10 accepted, 100000 left",
            scene=ten_keys,
            buyers=10,
            stock=0,
            one_row=False,
        ),
    ),
)

"""The presets by name. A new preset is one file here that defines `PRESET`; nothing else has to know it."""

import importlib
import pkgutil
from functools import cache

from stockade.lab.preset import Arm, Preset

DEFAULT = "seed-004"


@cache
def presets() -> dict[str, Preset]:
    """Every preset of this folder, by name."""
    found: dict[str, Preset] = {}
    for module in pkgutil.iter_modules(__path__):
        preset = importlib.import_module(f"{__name__}.{module.name}").PRESET
        assert isinstance(preset, Preset)
        found[preset.name] = preset
    return dict(sorted(found.items()))


def find(text: str) -> list[tuple[str, Arm]]:
    """The arms that a user's text names, with their names.

    Args:
        text: names separated by commas; `cart` means both of its arms, `cart:sorted` one, `all` everything.

    Raises:
        ValueError: a name that does not exist; the message lists those that do.
    """
    known = presets()
    chosen: list[tuple[str, Arm]] = []
    for name in known if text.strip() == "all" else [part.strip() for part in text.split(",")]:
        head = name.partition(":")[0]
        arms = [(full, arm) for full, arm in _arms(known.get(head)) if name in (head, full)]
        if not arms:
            raise ValueError(f"unknown preset {name!r}; there are: {', '.join(known)}, all")
        chosen += [arm for arm in arms if arm not in chosen]
    return chosen


def _arms(preset: Preset | None) -> list[tuple[str, Arm]]:
    return [(preset.arm_name(arm), arm) for arm in preset.arms] if preset else []

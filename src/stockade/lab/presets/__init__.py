"""The presets by name. A new preset is one file here that defines `PRESET`; no other file lists it."""

import importlib
import pkgutil
from functools import cache

from stockade.lab.model.preset import Preset, Variant

RENAMED = {"seed-004": "reference", "seed-000-last-unit": "last-unit"}


@cache
def presets() -> dict[str, Preset]:
    """Every preset of this folder, by name."""
    found: dict[str, Preset] = {}
    for module in pkgutil.iter_modules(__path__):
        preset = importlib.import_module(f"{__name__}.{module.name}").PRESET
        assert isinstance(preset, Preset)
        found[preset.name] = preset
    return dict(sorted(found.items()))


def find(text: str) -> list[tuple[str, Variant]]:
    """The variants that the option `--preset` names, with their full names.

    Args:
        text: names separated by commas; `cart` means both of its variants, `cart:sorted` one, `all` every variant.

    Raises:
        ValueError: a name that does not exist; the message lists the names that do, or the new name.
    """
    known = presets()
    chosen: list[tuple[str, Variant]] = []
    for name in known if text.strip() == "all" else [part.strip() for part in text.split(",")]:
        if name in RENAMED:
            raise ValueError(f"the preset {name!r} is now called {RENAMED[name]!r}")
        preset = known.get(name.partition(":")[0])
        variants = [(preset.variant_name(each), each) for each in preset.variants] if preset else []
        wanted = [(full, each) for full, each in variants if preset and name in (preset.name, full)]
        if not wanted and preset:
            raise ValueError(f"unknown variant {name!r}; there are: {', '.join(full for full, _ in variants)}")
        if not wanted:
            raise ValueError(f"unknown preset {name!r}; there are: {', '.join(known)}, all")
        chosen += [each for each in wanted if each not in chosen]
    return chosen

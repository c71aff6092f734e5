"""The presets by name. A new preset is one file here that defines `PRESET`; no other file lists it."""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from stockade.lab.model.preset import Preset, Variant
from stockade.service.application import Application, find_attribute

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


def presets_of(application: Application) -> dict[str, Preset]:
    """The presets of an application by name.

    Raises:
        ValueError: it has none, or names something else.
    """
    if not application.presets:
        raise ValueError(f"the application {application.name} names no presets: set `presets` to MODULE:ATTRIBUTE")
    found = find_attribute(application.presets)
    if callable(found):
        found = found()
    listed = list(found.values()) if isinstance(found, Mapping) else list(found)
    if wrong := [each for each in listed if not isinstance(each, Preset)]:
        raise ValueError(f"{application.presets} holds {wrong[0]!r:.100}, which must be a stockade.lab.Preset")
    return {each.name: each for each in listed}


def find(text: str, known: Mapping[str, Preset] | None = None) -> list[tuple[str, Variant]]:
    """The variants that the option `--preset` names, with their full names.

    Args:
        text: names separated by commas; `cart` means both of its variants, `cart:sorted` one, `all` every variant.
        known: the presets that there are; None: those of the shop.

    Raises:
        ValueError: a name that does not exist; the message lists the names that do, or the new name.
    """
    known = presets() if known is None else known
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

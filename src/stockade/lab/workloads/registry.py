"""Every workload by name. A new one is one file here that defines `WORKLOAD`, and one line in this list."""

from collections.abc import Mapping
from typing import Final

from stockade.lab.errors import LabError
from stockade.lab.model.preset import Preset
from stockade.lab.presets import find, presets
from stockade.lab.workloads import (
    baskets,
    cancels,
    charges_and_spends,
    hot_and_zipf,
    one_of_n,
    order_stream,
    repeats,
    reservations,
)
from stockade.lab.workloads.of_preset import OfPreset
from stockade.lab.workloads.workload import Workload
from stockade.service.application import find_attribute

PRESET: Final = "preset:"
WORKLOADS: Final[dict[str, Workload]] = {
    each.name: each
    for each in (
        order_stream.WORKLOAD,
        hot_and_zipf.WORKLOAD,
        baskets.WORKLOAD,
        charges_and_spends.WORKLOAD,
        reservations.WORKLOAD,
        cancels.WORKLOAD,
        repeats.WORKLOAD,
        one_of_n.WORKLOAD,
    )
}
MEMBERS: Final = ("name", "summary", "load", "must_break", "setup", "rows", "requests")


def find_workload(text: str, known: Mapping[str, Preset] | None = None) -> Workload:
    """A workload.

    Args:
        text: a name of the registry, `preset:NAME` for a burst preset, or `MODULE:NAME` for one of your own.
        known: the presets that there are; None: those of the shop.

    Raises:
        LabError: there is none; the message lists those that exist.
        UnknownApplication: the module cannot be imported.
    """
    if text in WORKLOADS:
        return WORKLOADS[text]
    if text.startswith(PRESET):
        try:
            variants = find(text.removeprefix(PRESET), presets() if known is None else known)
        except ValueError as error:
            raise LabError(str(error)) from None
        if len(variants) > 1:
            raise LabError(f"{text} means {', '.join(name for name, _ in variants)}: name one of them")
        return OfPreset(*variants[0])
    if ":" not in text:
        raise LabError(f"unknown workload {text!r}; there are: {', '.join(WORKLOADS)}, preset:NAME, MODULE:NAME")
    found = find_attribute(text)
    if missing := [each for each in MEMBERS if not hasattr(found, each)]:
        raise LabError(f"{text} is no workload: it has no {', '.join(missing)}; docs/lab.md says what each is")
    workload: Workload = found
    return workload

"""Every workload by name. A new one is one file here that defines `WORKLOAD`, and one line in this list."""

from typing import Final

from stockade.lab.errors import LabError
from stockade.lab.presets import find, presets_of
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
from stockade.lab.workloads.own import OwnWorkload
from stockade.lab.workloads.workload import Workload
from stockade.service.application import Application
from stockade.shop.application import APPLICATION

PRESET: Final = "preset:"
SOLD: Final = {"stock", "points"}  # kinds of rows of every workload of the registry
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


def find_workload(text: str, application: Application = APPLICATION) -> Workload:
    """A workload.

    Args:
        text: a name of the registry, `preset:NAME` for a burst preset, or `MODULE:NAME` for one of your own.
        application: whose presets there are, and whose commands one of your own sends.

    Raises:
        LabError: there is none, or it is none; the message lists those that exist, or says what is wrong in which file.
    """
    if text in WORKLOADS:
        if not {each.kind for each in application.resources} >= SOLD:
            raise LabError(
                f"the workload {text} sends commands of the shop, which the application {application.name} has not: "
                "name one of its own, --workload MODULE:NAME"
            )
        return WORKLOADS[text]
    if text.startswith(PRESET):
        try:
            variants = find(text.removeprefix(PRESET), presets_of(application))
        except ValueError as error:
            raise LabError(str(error)) from None
        if len(variants) > 1:
            raise LabError(f"{text} means {', '.join(name for name, _ in variants)}: name one of them")
        return OfPreset(*variants[0])
    if ":" not in text:
        raise LabError(f"unknown workload {text!r}; there are: {', '.join(WORKLOADS)}, preset:NAME, MODULE:NAME")
    return OwnWorkload(text, application)

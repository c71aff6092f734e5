"""A burst preset as a workload: `preset:reference` plays its repeats one after the other, each with rows of its own.

Neighbours: `presets/` has the presets, `registry.py` makes this from the name of a workload.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from stockade.core import Command, Key
from stockade.lab.errors import LabError
from stockade.lab.model.burst import Burst, RepeatNames
from stockade.lab.model.preset import Variant
from stockade.lab.workloads.workload import Load, Request

AHEAD = 3  # repeats whose rows exist already


class OfPreset:
    """The repeats of a variant, one after the other.

    Args:
        name: of the variant.
        variant: of a preset.

    Raises:
        LabError: its buyers pay through a gateway, which recordings do not have, or it is about rows that are not taken
            in key order, as they always are there.
    """

    def __init__(self, name: str, variant: Variant) -> None:
        if variant.payment is not None:
            raise LabError(f"the preset {name} pays through a gateway, which recordings do not have")
        if variant.keep_request_order:
            raise LabError(f"the preset {name} takes rows in the order of the request; recordings take them by key")
        self.name = f"preset:{name}"
        self.summary = variant.summary
        self.load = Load(clients=min(variant.buyers, 64), one_row=variant.single_row)
        self.must_break = variant.must_fail_unprotected
        self._variant = variant

    def setup(self, names: RepeatNames) -> Sequence[Command]:
        """The rows of the first repeats."""
        return [command for number in range(AHEAD) for command in self._burst(names, number).setup]

    def rows(self, names: RepeatNames) -> Sequence[Key]:
        """The rows of the first repeats."""
        return [key for number in range(AHEAD) for key in self._burst(names, number).counted_rows]

    def requests(self, names: RepeatNames, seed: int) -> Iterator[Request]:
        """Repeats without end; their order is that of the preset, which takes no seed."""
        for number in itertools.count():
            ahead = self._burst(names, number + AHEAD).setup
            yield from (Request(command) for command in (*ahead, *self._burst(names, number).orders))

    def _burst(self, names: RepeatNames, number: int) -> Burst:
        variant = self._variant
        return variant.workload(replace(names, repeat=number, buyers=variant.buyers, stock=variant.stock))

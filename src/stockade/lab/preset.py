"""What a preset is: a workload with known right answers, as values.

A preset has one or more arms (the same workload in two forms, e.g. with sorted and unsorted locks). An arm turns a
`Stage` (fresh names for one repeat) into a `Scene` (the commands of that repeat). The presets themselves are one
file each in `presets/`; `runner` plays them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from stockade.core import Command, Key
from stockade.lab.repeat_names import Stage


@dataclass(frozen=True, slots=True)
class Scene:
    """One repeat, concretely.

    Attributes:
        setup: commands that make the rows, carried out before anything is timed.
        orders: one command for each buyer, all sent at once.
        subjects: the rows whose stock or balance, summed, is what is `left`.
        opening: that sum before the buyers come.
        step: by how much one carried-out command moves that sum (negative: it takes).
        others: more rows that the commands touch; they are checked too.
    """

    setup: tuple[Command, ...]
    orders: tuple[Command, ...]
    subjects: tuple[Key, ...]
    opening: int
    step: int
    others: tuple[Key, ...] = ()

    @property
    def right_accepted(self) -> int:
        """How many buyers must be told yes: everyone, or as many as the stock or balance bears."""
        buyers = len(self.orders)
        return buyers if self.step > 0 else min(buyers, self.opening // -self.step)


@dataclass(frozen=True, slots=True)
class Arm:
    """One form of a preset.

    Attributes:
        label: tells the arms of a preset apart; empty where there is one.
        summary: what happens and what is right, in one line.
        scene: makes the commands of one repeat.
        buyers: how many come at once, unless told otherwise.
        stock: units in stock or points in the account at the start, unless told otherwise.
        refusal: the only code a buyer may be refused with; empty where nobody may be refused.
        bites: a strategy without protection must be seen to fail here; else the arm cannot tell.
        one_row: all buyers meet on one row that is there before they come, so that a fault at one concerns all.
        deadlocks: "any": not judged; "none": one deadlock misses the promise; "some": none at all does.
        keep_request_order: lock in the order the buyer names the rows, which only `strategies` can do.
        strategies: the only strategies the arm is meant for; empty for all.
        not_on: databases on which the arm means nothing.
        repeats: measured repeats, unless told otherwise.
        published_ms: wall time that the seed published, by strategy (one cold run on another machine).
    """

    label: str
    summary: str
    scene: Callable[[Stage], Scene]
    buyers: int
    stock: int
    refusal: str = ""
    bites: bool = True
    one_row: bool = True
    deadlocks: str = "any"
    keep_request_order: bool = False
    strategies: tuple[str, ...] = ()
    not_on: tuple[str, ...] = ()
    repeats: int = 30
    published_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Preset:
    """A named workload. `seed-004` with one arm, `cart:sorted` and `cart:unsorted` with two."""

    name: str
    arms: tuple[Arm, ...]

    def arm_name(self, arm: Arm) -> str:
        """How reports name the arm."""
        return f"{self.name}:{arm.label}" if arm.label else self.name

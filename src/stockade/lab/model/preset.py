"""What a preset is: workloads whose right outcome is known.

A preset has one or more variants, e.g. with sorted and with unsorted locks. A variant makes a `Burst` from the names
of one repeat. Neighbours: each preset is one file in `presets/`; `runs/runner.py` runs them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from stockade.lab.model.burst import Burst, RepeatNames
from stockade.lab.model.payment import PaymentSetup


@dataclass(frozen=True, slots=True)
class Variant:
    """One form of a preset.

    Attributes:
        label: distinguishes the variants of a preset; empty if there is only one.
        summary: what happens and what is right, in one line.
        workload: makes the commands of one repeat.
        buyers: default number of commands sent at once.
        stock: default units in stock, or points in the account, at the start.
        allowed_rejection: the only code that a rejection may have; empty if no command may be rejected.
        must_fail_unprotected: a strategy without protection must violate a rule here.
        single_row: all commands share one row, which exists beforehand; faults need that.
        deadlocks: "any": not judged; "none": no deadlock may happen; "some": at least one must happen.
        keep_request_order: lock rows in the order of the request instead of key order.
        strategies: the only strategies that support the variant; empty for all.
        excluded_databases: dialects on which the variant does not apply.
        repeats: default number of timed repeats.
        payment: how its buyers pay through a gateway; None: they do not.
        published_ms: wall time in the Kotlin project's report, by strategy: one cold run on another machine.
    """

    label: str
    summary: str
    workload: Callable[[RepeatNames], Burst]
    buyers: int
    stock: int
    allowed_rejection: str = ""
    must_fail_unprotected: bool = True
    single_row: bool = True
    deadlocks: str = "any"
    keep_request_order: bool = False
    strategies: tuple[str, ...] = ()
    excluded_databases: tuple[str, ...] = ()
    repeats: int = 20
    published_ms: Mapping[str, float] = field(default_factory=dict)
    payment: PaymentSetup | None = None


@dataclass(frozen=True, slots=True)
class Preset:
    """A named workload: `reference` has one variant, `cart:sorted` and `cart:unsorted` are two."""

    name: str
    variants: tuple[Variant, ...]

    def variant_name(self, variant: Variant) -> str:
        """The name of a variant in options and reports."""
        return f"{self.name}:{variant.label}" if variant.label else self.name

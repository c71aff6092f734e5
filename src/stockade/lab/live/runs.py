"""The runs of one session of the page: what each was asked to do, and what it has shown so far.

Neighbours: `session.py` carries them out, `running/figures.py` has their points and sums.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stockade.lab.errors import LabError
from stockade.lab.live.child import AGAIN
from stockade.lab.live.choices import burst_variants
from stockade.lab.live.plan import BURST, LivePlan
from stockade.lab.live.running.figures import thinned

RUNNING, ENDED, STOPPED, FAILED = "running", "ended", "stopped", "failed"
OUT_OF_STOCK: Final = "OUT_OF_STOCK"
LATENCY: Final = ("p50_ms", "p95_ms")
MOST_SAID: Final = 300  # characters of what is not understood
MOST_POINTS: Final = 600  # of a leg that are kept
SHOWN_POINTS: Final = 120  # of a leg that a page gets at once


@dataclass(slots=True)
class Leg:
    """One control of a run.

    Attributes:
        control: its name.
        points: see `Point`.
        sums: see `Sums`.
        verdict: of the lab; empty: not yet.
        kept: whether it did what it promises; a negative control that fails does.
        reason: of the verdict.
        must_fail: it protects nothing, so it must be seen to fail.
        why: it was left out for this reason.
    """

    control: str
    points: list[dict[str, Any]] = field(default_factory=list)
    sums: dict[str, Any] = field(default_factory=dict)
    verdict: str = ""
    kept: bool | None = None
    reason: str = ""
    must_fail: bool = False
    why: str = ""

    def as_json(self, points: int) -> dict[str, Any]:
        """For a page, with at most so many points."""
        return {
            "control": self.control,
            "points": thinned(self.points, points) if points else [],
            "sums": {**self.sums, **self._last_latency()},
            "verdict": self.verdict,
            "kept": self.kept,
            "reason": self.reason,
            "must_fail": self.must_fail,
            "why": self.why,
        }

    def _last_latency(self) -> dict[str, Any]:
        """Of the newest point that has one, where the sums have none: the control was stopped, or goes on."""
        return {
            name: next((each[name] for each in reversed(self.points) if each.get(name) is not None), None)
            for name in LATENCY
            if self.sums.get(name) is None
        }


class Run:
    """One run.

    Args:
        number: from 1 in this session.
        plan: what it does.

    Attributes:
        legs: of each control that has begun.
        state: `running`, `ended`, `stopped` or `failed`.
        error: why it failed.
        version: grows with every change, for caches.
    """

    def __init__(self, number: int, plan: LivePlan) -> None:
        self.number, self.plan = number, plan
        self.legs: list[Leg] = []
        self.state, self.error = RUNNING, ""
        self.version = 0

    @property
    def right(self) -> int | None:
        """How many orders of a burst must be accepted, where the stock decides that; None: something else does."""
        if self.plan.kind != BURST or burst_variants()[self.plan.workload].allowed_rejection != OUT_OF_STOCK:
            return None
        return min(self.plan.buyers, self.plan.stock)

    @property
    def seen_to_fail(self) -> bool:
        """Whether a negative control broke a rule in this run; else it shows nothing that others broke none."""
        return any(each.must_fail and each.kept and each.sums.get("violations") for each in self.legs)

    def take(self, received: Mapping[str, Any]) -> None:
        """Take in what its process says.

        Raises:
            LabError: something is missing in it.
        """
        self.version += 1
        try:
            self._take(received)
        except (LookupError, TypeError) as error:
            what = f"{type(error).__name__} {error} in {str(dict(received))[:MOST_SAID]}"
            raise LabError(f"the process said what nobody understands: {what}; {AGAIN}") from error

    def _take(self, received: Mapping[str, Any]) -> None:
        event = received.get("event")
        if event == "leg":
            self.legs.append(Leg(str(received["control"])))
        elif event == "points":
            leg = self.legs[received["leg"]]
            leg.points = [*leg.points, *received["points"]][-MOST_POINTS:]
            leg.sums = received["sums"]
        elif event == "verdict":
            leg = self.legs[received["leg"]]
            leg.verdict, leg.kept, leg.reason = received["verdict"], received["kept"], received["reason"]
            leg.must_fail = received["must_fail"]
        elif event == "left out":
            self.legs[received["leg"]].why = received["why"]

    def as_json(self, *, points: bool) -> dict[str, Any]:
        """For a page."""
        return {
            "number": self.number,
            "plan": self.plan.as_json(),
            "right": self.right,
            "state": self.state,
            "error": self.error,
            "seen_to_fail": self.seen_to_fail,
            "legs": [each.as_json(SHOWN_POINTS if points else 0) for each in self.legs],
        }

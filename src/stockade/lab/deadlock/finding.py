"""What one experiment of the bench came to: a row of the table and of the document. Neighbours: `experiments.py`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from stockade.core import JsonValue


@dataclass(frozen=True, slots=True)
class Finding:
    """One experiment.

    Attributes:
        part: which group it belongs to: `two transactions`, `one statement`, `load`, `pool`, `one writer`.
        name: of the experiment.
        removed: the condition of a deadlock that is taken away; empty: a negative control, which must show the failure.
        expected: what must happen.
        observed: what happened.
        held: whether it is what must happen.
        figures: measured; times in seconds.
    """

    part: str
    name: str
    removed: str
    expected: str
    observed: str
    held: bool
    figures: Mapping[str, JsonValue] = field(default_factory=dict)

    def as_json(self) -> dict[str, JsonValue]:
        """For the document."""
        return {
            "part": self.part,
            "name": self.name,
            "removed": self.removed,
            "expected": self.expected,
            "observed": self.observed,
            "held": self.held,
            "figures": dict(self.figures),
        }

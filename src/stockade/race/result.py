"""What a race has found, as values: answers, rounds, violations.

Neighbours: `steps/` and `runner.py` make them, `reports/` show them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import ceil
from typing import Any

from stockade.race.http.connection import Response


class Kind(StrEnum):
    """What an answer means, as the scenario says."""

    SUCCESS = "success"
    REFUSAL = "refusal"
    ERROR = "error"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one buyer got.

    Attributes:
        buyer: its number, from 0.
        key: the number of its key.
        request: method and path.
        latency_s: from the release of its request (at a rate: from when it was due) to the end of its answer, in
            seconds; `timeout_s` of one without an answer in time, 0 of a broken connection.
        response: None: there was none.
        error: why not.
        kind: set by `steps.verdict`.
        values: what `[answers]` names, of a success.
        sent_s: when its request was sent, of `time.perf_counter`, in seconds.
        ended_s: when its answer had come; both 0 without an answer.
    """

    buyer: int
    key: int
    request: str
    latency_s: float
    response: Response | None = None
    error: str = ""
    kind: Kind = Kind.UNANSWERED
    values: Mapping[str, Any] = field(default_factory=dict)
    sent_s: float = 0.0
    ended_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Observation:
    """A value that was read after the round.

    Attributes:
        value: as it is compared.
        source: the request or the SQL that gave it.
    """

    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that did not hold.

    Attributes:
        name: of the invariant.
        rule: as the scenario says it.
        shown: the same with its numbers, e.g. `23 <= 20`.
        reads: the values that were read, by name.
        answers: those that prove it, at most `steps.verdict.MOST_PROOFS`.
        answers_in_all: how many prove it.
    """

    name: str
    rule: str
    shown: str
    reads: Mapping[str, Observation]
    answers: Sequence[Answer]
    answers_in_all: int


@dataclass(frozen=True, slots=True)
class Round:
    """One round.

    Attributes:
        number: from 1.
        counts: kind -> number of answers.
        latencies_s: of all answers, sorted, in seconds; one that was given up counts with `timeout_s`.
        at_once: the most requests that were in flight at one moment.
        spread_s: from the first release to the last, in seconds; in an open loop the largest lateness of a request.
        reads: the values that were read, by name.
        violations: the invariants that did not hold.
        errors: examples of answers that are errors.
        not_cleaned: why the clean-up left something; empty: it did not.
    """

    number: int
    counts: Mapping[Kind, int]
    latencies_s: Sequence[float]
    at_once: int
    spread_s: float
    reads: Mapping[str, Observation]
    violations: Sequence[Violation]
    errors: Sequence[Answer]
    not_cleaned: str = ""

    def latency_s(self, share: float) -> float:
        """A percentile of the latency by nearest rank, in seconds; 0 without an answer.

        Args:
            share: e.g. 0.95.
        """
        return self.latencies_s[max(ceil(share * len(self.latencies_s)) - 1, 0)] if self.latencies_s else 0.0


@dataclass(frozen=True, slots=True)
class RaceResult:
    """A race.

    Attributes:
        name: of the scenario.
        target: its URL.
        buyers: requests of a round.
        most_rounds: that would have been run without a violation.
        rate_per_s: of an open loop; 0: all at the same moment.
        invariants: name -> rule.
        rounds: those that were run.
        keys: different keys that the buyers share in turn; 0: one for each.
    """

    name: str
    target: str
    buyers: int
    most_rounds: int
    rate_per_s: float
    invariants: Mapping[str, str]
    rounds: Sequence[Round]
    keys: int = 0

    @property
    def shares_keys(self) -> bool:
        """Whether several buyers have one key, so that the number of a buyer does not say its key."""
        return 0 < self.keys < self.buyers

    @property
    def violations(self) -> list[Violation]:
        """Of all rounds."""
        return [each for one in self.rounds for each in one.violations]

    @property
    def passed(self) -> bool:
        """Whether every invariant held in every round."""
        return not self.violations

"""Bounded, jittered back-off, shared by the strategies and the store."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential back-off with full jitter (Brooker, "Exponential Backoff and Jitter", AWS 2015).

    Attributes:
        retries: how often a failed attempt is repeated; 0 is no retry.
        first_ms: upper bound of the first pause in milliseconds.
        cap_ms: upper bound of every pause in milliseconds.
    """

    retries: int = 50
    first_ms: float = 2.0
    cap_ms: float = 100.0

    def __post_init__(self) -> None:
        if self.retries < 0 or self.first_ms < 0 or self.cap_ms < self.first_ms:
            raise ValueError(f"retries >= 0 and 0 <= first_ms <= cap_ms are needed, got {self}")

    def pause_s(self, attempt: int, rng: random.Random) -> float:
        """Seconds to pause after the failed attempt number `attempt` (0 is the first)."""
        bound_ms = min(self.cap_ms, self.first_ms * 2.0 ** min(attempt, 30))
        return rng.uniform(0.0, bound_ms) / 1000.0

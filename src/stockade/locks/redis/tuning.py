"""The times that a user of the Redis providers may set."""

from dataclasses import dataclass

from stockade.locks.checks import PREFIX, TOKEN_TTL_S, count, seconds, text, token_lifetime

_LEAST_BOUND_S = 0.4  # of a call without a time limit of its own, also when `patience_s` is less


@dataclass(frozen=True, slots=True)
class RedisTuning:
    """Times of the Redis provider.

    Attributes:
        prefix: put before every name, key and channel. "" keeps the names of version 0.1 and before.
        spin_s: mean pause between two tries of a lock that is not fair, jittered by half.
        poll_s: how often a waiter queries the server although no notice came; a lost notice costs at most this.
        call_s: how long one call may take; less when the caller's own time limit, or `patience_s`, ends before.
        patience_s: how long an unreachable server is tried again before LockUnavailable; the bound of every call that
            has no time limit of its own. 0: nothing is tried again, and a call gets 0.4 s.
        wait_replicas: how many replicas must have a grant before it counts (WAIT); 0: none.
        token_ttl_s: how long the server remembers the last fencing token after the end of its lock, 1 or more. Tokens
            are microseconds of the server's clock, so a forgotten one is a lower number than the next. That holds
            unless the clock is set back, or a replica with a slower clock is promoted, by more than this.
    """

    prefix: str = PREFIX
    spin_s: float = 0.010
    poll_s: float = 1.0
    call_s: float = 2.0
    patience_s: float = 3.0
    wait_replicas: int = 0
    token_ttl_s: float = TOKEN_TTL_S

    def __post_init__(self) -> None:
        text("prefix", self.prefix)
        for name in ("spin_s", "poll_s", "call_s"):
            seconds(name, getattr(self, name))
        seconds("patience_s", self.patience_s, zero=True)
        count("wait_replicas", self.wait_replicas, 0)
        token_lifetime(self.token_ttl_s)

    @property
    def token_ttl_ms(self) -> int:
        """`token_ttl_s` for the server."""
        return round(self.token_ttl_s * 1000)

    @property
    def bound_s(self) -> float:
        """The bound of a call that has no time limit of its own, in seconds."""
        return max(self.patience_s, _LEAST_BOUND_S)

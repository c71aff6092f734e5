"""How the load is sent, and what faults change of it while it runs."""

import random
from dataclasses import dataclass, field

OVERLOAD = 10.0  # times the usual load, under the faults of overload


@dataclass(slots=True)
class LoadSettings:
    """The load of one recording; `fault.LoadControl` for faults.

    Attributes:
        seed: decides every choice of every client.
        clients: of a closed loop; most requests in flight of an open one.
        rate: requests per second of an open loop; 0: closed.
        read_share: of the operations of clients that read rows instead.
        wait_s: deadline of one command in the service, in seconds.
        rate_factor: see `fault.LoadControl`.
        duplicate_share: the same.
        cancel_share: the same.
    """

    seed: int
    clients: int = 16
    rate: float = 0.0
    read_share: float = 0.1
    wait_s: float = 2.0
    rate_factor: float = 1.0
    duplicate_share: float = 0.0
    cancel_share: float = 0.0
    usual_duplicate_share: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.usual_duplicate_share = self.duplicate_share

    @property
    def wanted_clients(self) -> int:
        """How many clients of a closed loop send now."""
        return max(1, round(self.clients * self.rate_factor))

    def rng(self, *parts: int) -> random.Random:
        """The choices of one client."""
        return random.Random("-".join(map(str, (self.seed, *parts))))

    def set_rate_factor(self, factor: float) -> None:
        """See `fault.LoadControl`."""
        self.rate_factor = factor

    def set_duplicate_share(self, share: float) -> None:
        """See `fault.LoadControl`; never below what the workload wants."""
        self.duplicate_share = max(share, self.usual_duplicate_share)

    def set_cancel_share(self, share: float) -> None:
        """See `fault.LoadControl`."""
        self.cancel_share = share

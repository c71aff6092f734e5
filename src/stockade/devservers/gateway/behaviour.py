"""What goes wrong at the test gateway: chosen by a request's header, by its payment key, or at random from a seed.

A charge whose payment key (or payment method) begins with `fault-NAME` meets that fault, and so does a charge or refund
with the header `x-fault: NAME`. Random faults, of both, are drawn from the seed, so a run can be repeated.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

HEADER, PREFIX = "x-fault", "fault-"
FAULTS = {
    "decline": "the buyer's bank declines, or the refund is refused: definite",
    "unknown-key": "the gateway knows no such payment key: nothing was done",
    "lost-request": "the connection ends before anything was done",
    "lost-reply": "it is done, and the connection ends without a reply",
    "slow": "it is done, and the reply comes after `slow_s` seconds",
    "approve-then-error": "it is done, and the reply is an internal error",
    "error": "an internal error; nothing was done",
    "wrong-amount": "one unit more is charged, or one unit less is given back, than was asked for",
}


@dataclass(slots=True)
class Behaviour:
    """How the gateway behaves; every attribute can be changed while it runs.

    Attributes:
        keyed: an idempotency key is honoured. Without, every request is carried out.
        key_valid_s: for how many seconds.
        look_up: payments can be looked up.
        once_per_payment_key: Toss: a payment key is confirmed once, whatever the idempotency key says.
        latency_s: of every answer, in seconds.
        slow_s: of a slow one.
        outage: every request is answered with 503.
        faults: how likely each fault is, 0 to 1 by name, for requests that name none.
        seed: of the random faults.
        webhook_url: where notifications go; empty: nowhere.
        webhook_secret: signs those of Stripe.
        webhook_copies: how often each is delivered.
        webhook_early: notifications are delivered before the reply, not after it.
        stores_errors: an idempotency key keeps an internal error as its answer, as Stripe says that it does.
    """

    keyed: bool = True
    key_valid_s: float = 86_400.0
    look_up: bool = True
    once_per_payment_key: bool = True
    latency_s: float = 0.0
    slow_s: float = 60.0
    outage: bool = False
    faults: dict[str, float] = field(default_factory=dict)
    seed: int = 0
    webhook_url: str = ""
    webhook_secret: str = ""
    webhook_copies: int = 1
    webhook_early: bool = False
    stores_errors: bool = False
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.change({})

    def change(self, options: Mapping[str, Any]) -> None:
        """Change some attributes; the random faults begin again at the seed.

        Raises:
            ValueError: an option or a fault that is not known; nothing is changed.
        """
        known = [each.name for each in fields(self) if each.init]
        if unknown := sorted(set(options) - set(known)):
            raise ValueError(f"unknown option {unknown[0]!r:.40}; known are {', '.join(known)}")
        if unknown := sorted(set(options.get("faults", self.faults)) - set(FAULTS)):
            raise ValueError(f"unknown fault {unknown[0]!r:.40}; known are {', '.join(FAULTS)}")
        for name, value in options.items():
            setattr(self, name, value)
        self._random = random.Random(self.seed)

    def fault_of(self, headers: Mapping[str, str], payment_key: str) -> str:
        """The fault that a request meets; empty: none.

        Raises:
            ValueError: the request names one that is not known.
        """
        named = headers.get(HEADER, "")
        if not named and payment_key.startswith(PREFIX):
            rest = payment_key.removeprefix(PREFIX)
            named = max((name for name in FAULTS if rest.startswith(name)), key=len, default=rest)
        if named:
            if named not in FAULTS:
                raise ValueError(f"unknown fault {named!r:.40}; known are {', '.join(FAULTS)}")
            return named
        drawn = self._random.random()
        for name, share in self.faults.items():
            drawn -= share
            if drawn < 0:
                return name
        return ""

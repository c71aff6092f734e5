"""Asks the test gateway for its count, and changes its behaviour. Used by tests."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.request import Request, urlopen

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Count:
    """What the gateway has done.

    Attributes:
        approved: by reference: the amounts that were charged, one for each charge.
        refunded: by reference: the amounts that were given back, one for each refund.
        declined: references that were declined and never charged.
        requests: that asked for money or for a refund, repetitions included.
        lost_notifications: deliveries that failed, or that too many others were waiting for.
    """

    approved: dict[str, list[int]]
    refunded: dict[str, list[int]]
    declined: list[str]
    requests: int
    lost_notifications: int = 0

    @property
    def charged_twice(self) -> list[str]:
        """References with more than one charge."""
        return sorted(reference for reference, amounts in self.approved.items() if len(amounts) > 1)

    @property
    def total(self) -> int:
        """What all buyers together were charged, less what they got back."""
        return sum(map(sum, self.approved.values())) - sum(map(sum, self.refunded.values()))


class GatewayClient:
    """The control of a test gateway at a URL."""

    def __init__(self, url: str) -> None:
        self._url = url

    def count(self) -> Count:
        """What it has done until now."""
        return Count(**self._ask("/test/count"))

    def behave(self, **options: object) -> None:
        """Change how it behaves, see `behaviour.Behaviour`.

        Raises:
            ValueError: an option or a fault that is not known.
        """
        answer = self._ask("/test/behaviour", options)
        if "error" in answer:
            raise ValueError(answer["error"])

    def _ask(self, path: str, body: object = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(f"{self._url}{path}", data), timeout=TIMEOUT_S) as reply:  # noqa: S310 - our own server
            read: dict[str, Any] = json.load(reply)
        return read

"""Amounts of money: whole numbers of the smallest unit of a currency."""

from dataclasses import dataclass
from typing import Final

# ISO 4217: how many decimal places a currency has. A currency that is not here is refused, never guessed.
DECIMALS: Final[dict[str, int]] = {
    "KRW": 0,
    "JPY": 0,
    "VND": 0,
    "CNY": 2,
    "EUR": 2,
    "GBP": 2,
    "HKD": 2,
    "SGD": 2,
    "TWD": 2,
    "USD": 2,
}


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in a currency.

    Attributes:
        amount: in the smallest unit: won for KRW, cents for USD.
        currency: three capital letters of ISO 4217.

    Raises:
        ValueError: the amount is no whole number of 0 or more, or the currency is not known.
    """

    amount: int
    currency: str = "KRW"

    def __post_init__(self) -> None:
        if type(self.amount) is not int or self.amount < 0:
            raise ValueError(f"an amount is a whole number of 0 or more, not {self.amount!r}")
        if self.currency not in DECIMALS:
            raise ValueError(f"unknown currency {self.currency!r:.20}; known are {', '.join(DECIMALS)}")

    def __str__(self) -> str:
        places = DECIMALS[self.currency]
        whole, part = divmod(self.amount, 10**places)
        return f"{whole:,}{f'.{part:0{places}}' if places else ''} {self.currency}"

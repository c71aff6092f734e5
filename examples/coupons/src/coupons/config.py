"""What the environment says."""

import os
from dataclasses import dataclass, field
from typing import Self

from stockade.strategies import registry


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of this project.

    Attributes:
        database_url: as SQLAlchemy reads it, with an asynchronous driver.
        strategy: where commands wait; see `stockade strategies`.
        kafka: brokers, `host:port,…`; only the strategy `kafka` needs them.
    """

    database_url: str = "sqlite+aiosqlite:///coupons.db"
    strategy: str = "sequencer"
    kafka: str = field(default="")

    @classmethod
    def from_environment(cls) -> Self:
        """Read COUPONS_DATABASE_URL, COUPONS_STRATEGY and COUPONS_KAFKA; an unknown strategy ends the program."""
        names = {"database_url": "COUPONS_DATABASE_URL", "strategy": "COUPONS_STRATEGY", "kafka": "COUPONS_KAFKA"}
        found = cls(**{name: os.environ[variable] for name, variable in names.items() if variable in os.environ})
        if found.strategy not in registry.names():  # here: a server shows what its lifespan raises as a traceback
            known = ", ".join(registry.names())
            raise SystemExit(f"COUPONS_STRATEGY = {found.strategy!r}: must be one of {known}")
        return found

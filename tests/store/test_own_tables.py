"""A user's own command on an own table gets the guards, the ledger and idempotency for nothing."""

import asyncio
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from sqlalchemy import BigInteger, CheckConstraint, Column, MetaData, Table, select

from stockade.core import Accepted, Change, Decision, Key, Rejected
from stockade.store import Resource, SqlStore
from stockade.store.schema.tables import guarded
from stockade.store.schema.types import text_id
from stockade.strategies import registry
from tests.store.commands import rid
from tests.store.conftest import soon

own = MetaData()
seats = Table(
    "seats",
    own,
    Column("id", text_id(), primary_key=True),
    Column("free", BigInteger, nullable=False),
    *guarded(),
    CheckConstraint("free >= 0", name="ck_seats_free"),
)


class SeatState(NamedTuple):
    """Free seats of a show."""

    free: int


SEATS = Resource("seats", seats, SeatState, counters=("free",), zero=SeatState(5))


@dataclass(frozen=True, slots=True)
class BookSeat:
    """Book one seat of a show."""

    request_id: str
    show: str
    fingerprint: str = "f"
    now_ms: int = 1
    name: ClassVar[str] = "book_seat"
    strategy_group: ClassVar[str] = "stock"

    @property
    def keys(self):
        return (Key("seats", self.show),)

    def decide(self, rows):
        key = self.keys[0]
        state = rows[key].state or SeatState(5)
        if state.free < 1:
            return Decision(Rejected("SOLD_OUT"))
        return Decision(Accepted({"left": state.free - 1}), {key: Change(SeatState(state.free - 1), -1, note="booked")})


async def test_an_own_command_under_the_strategies(database):
    """Eight buyers of five seats under each strategy: five get one."""
    await database.transaction(own.create_all, deadline=soon(20))
    store = SqlStore(database, [SEATS])
    for name in ("sequencer", "conditional", "pessimistic", "optimistic", "in-process"):
        strategy = registry.create(name, store)
        await strategy.start()
        answers = await asyncio.gather(*(strategy.execute(BookSeat(rid(name, n), name)) for n in range(8)))
        await strategy.stop()
        assert sum(answer.accepted for answer in answers) == 5
    left = await database.read(lambda c: {row.id: row.free for row in c.execute(select(seats))})
    assert set(left.values()) == {0}

"""Which requests the purge keeps: a repeated key must not insert again, however long ago the first was."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import pytest
from sqlalchemy import BigInteger, Column, MetaData, Table, func, select

from stockade.core import Accepted, Decision, Delete, Event, Guard, Insert, Key, Rejected
from stockade.service.purge import DAY_MS, Purge
from stockade.store import STORE_SCHEMA, Database, Resource, SqlStore, guarded, text, text_id
from stockade.store.outcome_codec import encode_outcome
from stockade.store.transaction import decide
from tests.databases import CREATED
from tests.service.conftest import NOW_MS
from tests.store.commands import rid
from tests.store.conftest import soon

metadata = MetaData()
pots = Table("pots", metadata, Column("id", text_id(), primary_key=True), Column("left", BigInteger), *guarded())
notes = Table("notes", metadata, Column("words", text(32), nullable=False))  # nothing in it refuses a repetition
tags = Table("tags", metadata, Column("id", text_id(), primary_key=True))


class PotState(NamedTuple):
    """The state of the one resource, which a store must have."""

    left: int


POT = Resource("pot", pots, PotState, counters=("left",))
NOTE = Insert("notes", {"words": "once"})
DECISIONS = {
    "inserts": Decision(Accepted({}), inserts=[NOTE]),
    "leaves an event": Decision(Accepted({}), events=[Event("e", Key("pot", "p"), {})]),
    "replaces": Decision(Accepted({}), inserts=[Insert("tags", {"id": "t"}, replace=True)]),
    "deletes": Decision(Accepted({}), deletes=[Delete("tags", {"id": "t"})]),
    "only reads": Decision(Accepted({})),
    "is refused and inserts": Decision(Rejected("NO"), inserts=[NOTE]),
}
KEPT = {"inserts", "leaves an event"}


@dataclass(frozen=True, slots=True)
class Does:
    """Decides what `DECISIONS` says."""

    what: str
    name: ClassVar[str] = "does"
    fingerprint: ClassVar[str] = "f"
    strategy_group: ClassVar[str] = "pots"
    now_ms: ClassVar[int] = NOW_MS
    keys: ClassVar[tuple] = ()

    @property
    def request_id(self):
        return rid(self.what)

    def decide(self, rows):
        return DECISIONS[self.what]


@pytest.fixture
async def store(database_url):
    """A store over tables of its own, on every kind of database."""
    await CREATED.migrate(database_url, STORE_SCHEMA)
    database = await Database.open(database_url)
    try:
        await database.transaction(metadata.create_all, deadline=soon(20))
        yield SqlStore(database, [POT])
    finally:
        await database.close()


async def purged(store):
    """Purge a day later; returns how many requests are gone."""
    return (await Purge(store.database.write, lambda: NOW_MS + DAY_MS + 1).once())["deleted"]


async def noted_twice(store):
    """Insert, purge, and repeat the same request; returns how many records there are."""
    for _ in range(2):
        (answer,) = await store.transact([Does("inserts")], Guard.ROW, deadline=soon())
        assert answer.accepted
        await purged(store)
    count = select(func.count()).select_from(notes)
    return await store.database.read(lambda connection: connection.execute(count).scalar_one())


async def test_the_purge_keeps_what_a_repetition_would_do_again(store):
    """Of requests without a change those stay that inserted a record or left an event and were accepted."""
    for what in DECISIONS:
        (answer,) = await store.transact([Does(what)], Guard.ROW, deadline=soon())
        assert isinstance(answer, Accepted | Rejected), answer
    assert await purged(store) == len(DECISIONS) - len(KEPT)
    requests = store.database.tables.requests
    left = await store.database.read(lambda connection: set(connection.execute(select(requests.c.id)).scalars()))
    assert left == {rid(what) for what in KEPT}


async def test_a_repeated_key_inserts_once_however_late(store):
    """A request that only inserted is answered from its record after a purge too."""
    assert await noted_twice(store) == 1


async def test_without_the_mark_it_inserts_twice(store, monkeypatch):
    """The control: where the recorded outcome does not tell of the record, the purge forgets the request."""
    monkeypatch.setattr(decide, "encode_outcome", lambda outcome, **_: encode_outcome(outcome))
    assert await noted_twice(store) == 2

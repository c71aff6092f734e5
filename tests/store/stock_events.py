"""Whether the events `stock.changed` of each SKU form a chain: for every test that lets writers race."""

from collections import Counter
from typing import NamedTuple

import msgspec
from sqlalchemy import select

from stockade.shop.model.tables import skus
from stockade.store.schema.tables import ledger, outbox


class Level(NamedTuple):
    """The content of one event of a SKU."""

    since_version: int
    version: int
    on_hand: int
    reserved: int


def levels(connection):
    """The events of each SKU, in the order of the outbox."""
    events = select(outbox.c.key, outbox.c.body).where(outbox.c.kind == "stock.changed").order_by(outbox.c.id)
    found = {}
    for key, body in connection.execute(events):
        told = msgspec.json.decode(body)
        assert key == f"stock:{told['sku_id']}"
        assert told["available"] == told["on_hand"] - told["reserved"]
        found.setdefault(told["sku_id"], []).append(Level(*(told[name] for name in Level._fields)))
    return found


def breaks(connection):
    """Where the chain is broken: each event follows the one before and has the ledger's level, the last one the row's.

    And ids of events that were given twice. Nothing where writers are protected from each other.
    """
    at = select(ledger.c.row_id, ledger.c.version, ledger.c.amount_after, ledger.c.held_after)
    entries = {(sku, version): left for sku, version, *left in connection.execute(at.where(ledger.c.kind == "stock"))}
    ids = Counter(tuple(row) for row in connection.execute(select(outbox.c.request_id, outbox.c.seq)))
    told, found = levels(connection), [id_ for id_, times in ids.items() if times > 1]
    for row in connection.execute(select(skus)):
        before = Level(0, 0, 0, 0)
        for each in told.get(row.id, ()):
            follows = each.since_version == before.version < each.version
            if not follows or entries[row.id, each.version] != [each.on_hand, each.reserved]:
                found.append((row.id, before, each))
            before = each
        if before[1:] != (row.version, row.on_hand, row.reserved):
            found.append((row.id, before, "is not the row"))
    return found

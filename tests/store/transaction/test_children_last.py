"""Children are read after their row: a row that is there comes with its children."""

from stockade.core import Key
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.store.transaction.load import load_rows


class Reads:
    """A dialect that finds nothing, and notes what was asked for."""

    def __init__(self):
        self.kinds = []

    def load(self, connection, resource, ids, lock, *, nowait=False):
        """Nothing is there."""
        self.kinds.append((resource.kind, resource.many))
        return []


def test_an_order_is_read_before_its_lines():
    """Kinds in the global order of locks, then those without locks: an order that commits in between has its lines."""
    resources, reads = {each.kind: each for each in SHOP_RESOURCES}, Reads()
    keys = sorted(Key(kind, "1") for kind in resources)
    load_rows(None, reads, resources, keys, lock=True)
    children = [many for _, many in reads.kinds]
    assert children == sorted(children)
    assert any(children)
    guarded = [kind for kind, many in reads.kinds if not many]
    assert guarded == sorted(guarded)
    assert [kind for kind, _ in reads.kinds].index("order") < [kind for kind, _ in reads.kinds].index("lines")

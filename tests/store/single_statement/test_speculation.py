"""What a batch may expect of hot rows: remembered, trusted, and in order of the batches in flight."""

from stockade.core import Key, Row
from stockade.shop.model.states import StockState
from stockade.store.transaction.in_flight import InFlightBatch, wait_until_ended
from stockade.store.transaction.single_statement.speculation import MAX_ROWS, Speculation
from stockade.store.transaction.write_set import RowUpdate, WriteSet
from tests.store.conftest import soon

HOT = Key("stock", "s")


def row(on_hand, version, key=HOT):
    """A stock row."""
    return Row(key, StockState("p", 1000, on_hand, 0), version, version)


def changed(*rows, count=2):
    """A batch that leaves these rows."""
    return WriteSet(updates={each.key: RowUpdate(each, each, count=count) for each in rows})


def test_a_row_must_be_changed_twice_to_be_hot():
    """Rows of single changes are not remembered: there would be one for each user."""
    speculation = Speculation()
    speculation.record(changed(row(5, 1), count=1))
    speculation.compare([HOT], {HOT: row(5, 1)})
    assert speculation.expected_rows([HOT]) is None


def test_an_expectation_is_trusted_only_after_one_came_true():
    """First it is compared; a miss ends the trust until the next hit."""
    speculation = Speculation()
    speculation.record(changed(row(5, 1)))
    assert speculation.expected_rows([HOT]) is None
    speculation.compare([HOT], {HOT: row(5, 1)})
    assert speculation.expected_rows([HOT]) == {HOT: row(5, 1)}
    speculation.compare([HOT], {HOT: row(4, 2)})
    assert speculation.expected_rows([HOT]) is None


def test_an_unknown_row_means_no_expectation():
    """All or none: a batch with one cold row among the last ones is decided after its load."""
    speculation = Speculation()
    speculation.record(changed(row(5, 1)))
    speculation.compare([HOT], {HOT: row(5, 1)})
    assert speculation.expected_rows([HOT, Key("stock", "other")]) is None


def test_memory_is_bounded():
    """Only the newest hot rows are remembered."""
    speculation = Speculation()
    rows = [row(5, 1, Key("stock", str(number))) for number in range(MAX_ROWS + 10)]
    speculation.record(changed(*rows))
    speculation.compare([rows[-1].key], {rows[-1].key: rows[-1]})
    assert speculation.expected_rows([rows[0].key]) is None
    assert speculation.expected_rows([rows[-1].key]) is not None


async def test_nobody_waits_for_no_one():
    """Without a batch before there is nothing to wait for; one that does not end is waited for until the deadline."""
    assert not await wait_until_ended([], soon())
    assert not await wait_until_ended([InFlightBatch()], soon(0.01))
    ended = InFlightBatch()
    Speculation().complete(ended)
    assert await wait_until_ended([ended], soon())
    assert await wait_until_ended([ended], soon(0))


def test_a_batch_sent_again_keeps_its_place():
    """The one behind it goes on waiting for it, and newcomers for the one behind it; its old rows are forgotten."""
    speculation, one, two = Speculation(), InFlightBatch(), InFlightBatch()
    key = Key("stock", "s")
    speculation.register(one, changed(row(5, 1)), [key])
    speculation.forget_pending_rows(one)
    assert speculation.pending_rows([key]) == {}
    speculation.register(two, changed(row(3, 3)), [key])
    speculation.register(one, changed(row(4, 2)), [key])
    assert two.earlier == [one]
    assert speculation.earlier_than(InFlightBatch(), [key]) == [two]
    assert speculation.pending_rows([key]) == {key: row(4, 2)}
    speculation.complete(one)
    speculation.complete(two)
    assert not speculation.any_in_flight


def test_a_registered_batch_waits_only_for_those_before_it():
    """Two that waited for each other would wait for ever."""
    speculation, one, two = Speculation(), InFlightBatch(), InFlightBatch()
    key = Key("stock", "s")
    speculation.register(one, changed(), [key])
    speculation.register(two, changed(), [key])
    assert speculation.earlier_than(one, [key]) == []
    assert speculation.earlier_than(two, [key]) == [one]
    assert speculation.earlier_than(InFlightBatch(), [key]) == [two]
    speculation.complete(two)
    assert speculation.earlier_than(InFlightBatch(), [key]) == []

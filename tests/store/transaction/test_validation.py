"""Wrong use of the store is an error of the command that is wrong, when it happens, and nothing is written for it."""

import datetime
import decimal
import enum
import re
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, NamedTuple

import pytest
from sqlalchemy import BigInteger, Column, MetaData, Table, func, select

from stockade.core import Accepted, Change, Decision, Delete, Event, Guard, Insert, Key, Rejected
from stockade.shop.migrations import SCHEMA
from stockade.shop.model import tables
from stockade.shop.model.resources import SHOP_RESOURCES, STOCK
from stockade.shop.model.states import StockState
from stockade.store import Resource, SqlStore
from stockade.store.schema.tables import guarded
from stockade.store.schema.types import text_id
from tests.store.commands import Take, rid
from tests.store.conftest import soon

S, U = Key("stock", "s"), Key("points", "u")
ITEM = {"user_id": "u", "sku_id": "s", "quantity": 1}
PRODUCT = {"id": "x", "name": "n", "category": "c", "status": "ACTIVE", "created_ms": 0}


class Colour(str, enum.Enum):  # noqa: UP042 - as users still write it; its `str()` is "Colour.RED"
    """A text of another type."""

    RED = "red"


class NoneOfOurs(NamedTuple):
    """A state of another resource."""

    on_hand: int


@dataclass(frozen=True, slots=True)
class Decides:
    """Decides what it was made with, on the rows that it names."""

    decision: Any
    request_id: str = field(default_factory=lambda: rid("decides"))
    fingerprint: str = "f"
    now_ms: int = 1
    name: str = "wrong"
    strategy_group: str = "stock"
    keys: tuple[Key, ...] = (S,)

    def decide(self, rows):
        return self.decision(rows) if callable(self.decision) else self.decision


def accepted(**parts):
    return Decision(Accepted({}), **parts)


def told(value):
    return Decision(Accepted({"value": value}))


def moved(change):
    return lambda rows: accepted(changes={S: change(rows[S].state)})


def put(*records, table="cart_items", **how):
    return accepted(inserts=[Insert(table, values, **how) for values in records])


DECISIONS = {
    "nothing": (None, "must be a Decision"),
    "another type": (Accepted({}), "must be a Decision"),
    "no outcome": (Decision(), "decided nothing"),
    "an outcome of another type": (Decision({"data": 1}), "must be Accepted or Rejected"),
    "a refusal without a code": (Decision(Rejected("")), "must be a text"),
    "data that is a list": (Decision(Accepted([1])), "must be a mapping"),
    "a time": (told(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)), r"\['value'\] is a datetime"),
    "bytes": (told(b"x"), r"\['value'\] is a bytes"),
    "a set": (told([{1}]), r"\['value'\]\[0\] is a set"),
    "a decimal number": (told(decimal.Decimal(1)), "is a Decimal"),
    "not a number": (told(float("nan")), "is nan"),
    "infinity": (told({"deep": float("inf")}), r"\['value'\]\['deep'\] is inf"),
    "a key that is a number": (told({1: 2}), "the key 1"),
    "an object": (told(object()), "not JSON"),
    "half a pair": (told("\ud800"), "not JSON"),
    "data that is too deep": (told(reduce(lambda inner, _: [inner], range(5_000), [])), "not JSON"),
    "data that is too large": (told("x" * 70_000), "70,0"),
    "a refusal's data": (Decision(Rejected("NO", {"at": datetime.date(2026, 1, 1)})), "is a date"),
    "an event's body": (accepted(events=[Event("e", S, {"at": b""})]), "is a bytes"),
    "an event of a refusal": (Decision(Rejected("NO"), events=[Event("e", S, {"at": {1}})]), "is a set"),
    "an event of another type": (accepted(events=[("e", S, {})]), "no event"),
    "an event without a kind": (accepted(events=[Event("", S, {})]), "no event"),
    "an event's kind": (accepted(events=[Event("e" * 65, S, {})]), "no event"),
    "an event's key, half a pair": (accepted(events=[Event("e", Key("stock", "\ud800"), {})]), "no text"),
    "an event's key that is none": (accepted(events=[Event("e", ("stock", "s"), {})]), "no event"),
    "an event's key": (accepted(events=[Event("e", Key("stock", "s" * 80), {})]), "no event"),
    "an unknown table": (put({"id": 1}, table="audit_trail"), "'audit_trail', a table that this store does not know"),
    "an unknown table replaced": (put({"id": 1}, table="audit_trail", replace=True), "does not know"),
    "an unknown table deleted from": (accepted(deletes=[Delete("audit_trail", {"id": 1})]), "does not know"),
    "the store's own": (put({"id": rid(1)}, table="requests"), "only the store itself"),
    "the ledger": (put({"kind": "stock"}, table="ledger"), "only the store itself"),
    "another process's guard": (accepted(deletes=[Delete("guards_in_use", {"id": rid(1)})]), "only the store itself"),
    "deleted from the outbox": (accepted(deletes=[Delete("outbox", {"id": 1})]), "only the store itself"),
    "an unknown column": (put({**ITEM, "colour": "red"}), "colour"),
    "a missing column": (put({"user_id": "u", "sku_id": "s"}), "without quantity"),
    "a missing column replaced": (put({"user_id": "u", "quantity": 1}, replace=True), "without sku_id"),
    "a missing key": (put({"name": "n"}, table="products"), "products without"),
    "a missing key of a guarded row": (put({"price": 1}, table="skus"), "skus without"),
    "nothing of a guarded row": (put({}, table="orders"), "orders without"),
    "an object as a value": (put({**ITEM, "sku_id": NoneOfOurs(1)}), "a NoneOfOurs as sku_id"),
    "an Enum as a value": (put({**ITEM, "sku_id": Colour.RED}), "a Colour as sku_id"),
    "an object replaced": (put({**ITEM, "sku_id": object()}, replace=True), "replaces in cart_items a object"),
    "two shapes": (put(PRODUCT, {**PRODUCT, "id": "y", "folded_name": "n"}, table="products"), "the same columns"),
    "a guarded row replaced": (put({"id": "s"}, table="skus", replace=True), "by their keys"),
    "a guarded row deleted": (accepted(deletes=[Delete("skus", {"id": "s"})]), "change a column of its state instead"),
    "deleted by no key": (accepted(deletes=[Delete("cart_items", {"user_id": "u"})]), "not by its key"),
    "deleted by nothing": (accepted(deletes=[Delete("cart_items", {})]), "not by its key"),
    "a change of another type": (moved(lambda state: state), "must be a Change"),
    "a state of another type": (moved(lambda state: Change(NoneOfOurs(20))), "must be a StockState"),
    "no state": (moved(lambda state: Change(None)), "must be a StockState"),
    "counters that moved otherwise": (moved(lambda state: Change(state._replace(on_hand=5), -1)), "moves the counters"),
    "a difference that is no int": (moved(lambda s: Change(s._replace(on_hand=19), -1.0)), "of type int"),
    "a field that is fixed": (moved(lambda state: Change(state._replace(product_id="q"))), "never change"),
    "a row that it did not name": (
        lambda rows: accepted(changes={Key("stock", "other"): Change(StockState("p", 1, 1, 0), 1)}),
        "did not name",
    ),
    "more keys of an unknown kind": (Decision(need_keys=[Key("seats", "1")]), "no resource for keys of kind 'seats'"),
    "more keys that are none": (Decision(need_keys=["s"]), "must be a Key"),
}
COMMANDS = {
    "a short id": ({"request_id": "1"}, "32 hex digits"),
    "an id of bytes": ({"request_id": b"0" * 32}, "32 hex digits"),
    "no fingerprint": ({"fingerprint": ""}, "fingerprint"),
    "a long fingerprint": ({"fingerprint": "f" * 33}, "fingerprint"),
    "a time that is no int": ({"now_ms": 1.5}, "now_ms"),
    "an unknown kind": ({"keys": (Key("seats", "1"),)}, "no resource for keys of kind 'seats'"),
    "NUL in a row id": ({"keys": (Key("stock", "a\0b"),)}, "no NUL character"),
    "a long row id": ({"keys": (Key("stock", "s" * 65),)}, "1 to 64 characters"),
    "a row id of another type": ({"keys": (Key("stock", 1),)}, "Key of two texts"),
    "a key that is none": ({"keys": ("stock:s",)}, "Key of two texts"),
}
RIGHT = {
    "tuples": told((1, "a", (None, True, 1.5))),
    "a record": put(ITEM),
    "a product without the columns that have defaults": put(PRODUCT, table="products"),
    "a deletion": accepted(deletes=[Delete("cart_items", {"sku_id": "s", "user_id": "u"})]),
    "a change": moved(lambda state: Change(state._replace(on_hand=state.on_hand - 1), -1)),
}


def commands():
    yield from ((name, Decides(decision, rid(name)), says) for name, (decision, says) in DECISIONS.items())
    for name, (parts, says) in COMMANDS.items():
        yield name, Decides(accepted(), **{"request_id": rid(name), **parts}), says


async def counts(store):
    names = ("requests", "outbox", "ledger", "cart_items", "products")
    selects = [select(func.count()).select_from(each) for each in SCHEMA.tables if each.name in names]
    return await store.database.read(lambda c: [c.execute(each).scalar_one() for each in selects])


def held(answers):
    """The names of the wrong commands that were not refused in so many words."""
    return {
        name: answer
        for name, says, answer in answers
        if not isinstance(answer, ValueError | TypeError) or not re.search(says, str(answer))
    }


async def test_wrong_use_is_refused_and_nothing_is_written(store):
    """Every kind of wrong decision and command, alone: an error that says what is wrong, and no row."""
    before = await counts(store)
    answers = []
    for name, command, says in commands():
        (answer,) = await store.transact([command], Guard.ROW, deadline=soon(20))
        answers.append((name, says, answer))
    assert held(answers) == {}
    assert await counts(store) == before


async def test_the_neighbours_of_wrong_use_are_carried_out(store):
    """All of them in one batch with right commands between: only the wrong ones are refused."""
    wrong = list(commands())
    right = [Decides(decision, rid("right", name)) for name, decision in RIGHT.items()]
    batch = [*right[:2], *(command for _, command, _ in wrong), *right[2:], Take(rid("taken"))]
    answers = await store.transact(batch, Guard.ROW, deadline=soon(60))
    refused = answers[2 : 2 + len(wrong)]
    assert held((name, says, answer) for (name, _, says), answer in zip(wrong, refused, strict=True)) == {}
    others = [*answers[:2], *answers[2 + len(wrong) :]]
    assert all(isinstance(each, Accepted) for each in others), others
    assert others[0].data == {"value": (1, "a", (None, True, 1.5))}


async def test_a_batch_may_change_only_what_each_command_named(store):
    """The row of a neighbour in the batch is not one's own, though it is loaded; of the one who names it, or who asks
    for it where it is not loaded, it is."""
    change = moved(lambda state: Change(state._replace(on_hand=state.on_hand - 1), -1))

    def asking(rows):
        return change(rows) if S in rows and U in rows else Decision(need_keys=[S if U in rows else U])

    thieves = [
        Decides(change, rid("thief"), keys=()),
        Decides(lambda rows: change(rows) if S in rows else accepted(), rid("sly"), keys=()),
        Decides(lambda rows: change(rows) if S in rows else Decision(need_keys=[U]), rid("vague"), keys=()),
    ]
    right = [Decides(change, rid("owner")), Decides(asking, rid("asks"), keys=()), Decides(accepted(), keys=(U,))]
    answers = await store.transact([*right, *thieves], Guard.ROW, deadline=soon())
    assert all(each.accepted for each in answers[:3]), answers
    assert ["did not name" in str(each) for each in answers[3:]] == [True] * 3, answers


async def test_records_of_other_columns_are_written_by_another_batch(store):
    """Two commands that insert into one table with and without an optional column are both right, and lose none."""
    one = Decides(put(PRODUCT, table="products"), rid(1))
    two = Decides(put({**PRODUCT, "id": "y", "folded_name": "kept"}, table="products"), rid(2))
    answers = await store.transact([one, two], Guard.ROW, deadline=soon())
    assert all(answer.accepted for answer in answers), answers
    names = await store.database.read(lambda c: set(c.execute(select(tables.products.c.folded_name)).scalars()))
    assert "kept" in names


async def test_an_announcement_that_cannot_be_kept(database):
    """What a resource announces is refused with its batch; the row stays as it was."""
    bad = Resource(
        "stock",
        tables.skus,
        StockState,
        ("on_hand", "reserved"),
        change_event=lambda a, b: Event("e", b.key, {"x": {1}}),
    )
    good = SqlStore(database, SHOP_RESOURCES)
    made = Decides(put({**PRODUCT, "id": "p"}, table="products"), rid("p"), keys=())
    stocked = Decides(lambda rows: accepted(changes={S: Change(StockState("p", 1, 9, 0), 9)}), rid("s"))
    for command in (made, stocked):
        (answer,) = await good.transact([command], Guard.ROW, deadline=soon())
        assert answer.accepted
    (refused,) = await SqlStore(database, [bad]).transact([Take(rid(1))], Guard.ROW, deadline=soon())
    assert "is a set" in str(refused)
    (taken,) = await good.transact([Take(rid(1))], Guard.ROW, deadline=soon())
    assert taken.accepted


class SeatState(NamedTuple):
    """Free seats."""

    free: int


def table(*columns, key="id", name="seats"):
    return Table(name, MetaData(), Column(key, text_id(), primary_key=True), Column("free", BigInteger), *columns)


class Owned(NamedTuple):
    """A state that holds a column of the store's own."""

    version: int


RESOURCES = {
    "no version": (("seats", table(), SeatState), "no column version, stamp"),
    "no stamp": (("seats", table(Column("version", BigInteger)), SeatState), "no column stamp"),
    "no id": (("seats", table(*guarded(), key="show"), SeatState), "no column id"),
    "another key": (
        ("seats", table(*guarded(), Column("row", BigInteger, primary_key=True)), SeatState),
        "primary key of seats must be id",
    ),
    "a long kind": (("s" * 17, table(*guarded()), SeatState), "1 to 16 characters"),
    "no kind": (("", table(*guarded()), SeatState), "1 to 16 characters"),
    "a kind with a colon": (("a:b", table(*guarded()), SeatState), "no colon"),
    "a state that is no NamedTuple": (("seats", table(*guarded()), dict), "NamedTuple"),
    "a state with the version": (("seats", table(*guarded()), Owned), "the store keeps"),
    "an unknown counter": (("seats", table(*guarded()), SeatState, ("left",)), "no field for left"),
}


@pytest.mark.parametrize(("parts", "says"), RESOURCES.values(), ids=RESOURCES)
def test_a_resource_that_cannot_be(parts, says):
    """A resource that the store could not keep is refused when it is made; one with all columns is made (control)."""
    with pytest.raises(ValueError, match=says):
        Resource(*parts)
    assert Resource("seats", table(*guarded()), SeatState, ("free",)).written == ("free",)


async def test_resources_that_cannot_be_together(database):
    """Two of one kind, two of one table, and a table with the name of one of the store's."""
    again = Resource("other", tables.skus, StockState, ("on_hand", "reserved"))
    mine = Resource("seats", table(*guarded(), name="ledger"), SeatState)
    for resources, says in (([STOCK, STOCK], "the kind stock"), ([STOCK, again], "the table skus"), ([mine], "ledger")):
        with pytest.raises(ValueError, match=says):
            SqlStore(database, resources)
    SqlStore(database, SHOP_RESOURCES)

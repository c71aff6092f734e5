"""The audit: silent on a shop where everything has happened, and every rule speaks up on its own damage."""

import time
from contextlib import suppress
from random import Random

import pytest
from sqlalchemy import and_, create_engine, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from stockade.core import Accepted, Rejected
from stockade.service.audit.rule_types import Scope
from stockade.service.recorded import moved_nothing, rejected
from stockade.shop.audit import RULES, Violation, audit, summary
from stockade.shop.audit.rules import SCREENS, UNSCREENED
from stockade.shop.migrations import SCHEMA
from stockade.shop.model.tables import (
    order_lines,
    orders,
    payment_attempts,
    payments,
    point_accounts,
    point_charges,
    products,
    refunds,
    skus,
)
from stockade.store import Database
from stockade.store.outbox import PURGED
from stockade.store.outcome_codec import encode_outcome
from stockade.store.schema.tables import ledger, outbox, requests, watermarks
from tests.databases import CREATED
from tests.shop.breakages import breakages
from tests.shop.gateway_breakages import gateway_breakages
from tests.shop.gateway_shop import with_gateway

SHOP, IDS = with_gateway()
BREAKAGES = [*breakages(IDS), *gateway_breakages(IDS)]
BY_NAME = {rule.id: rule for rule in RULES}


def soon(seconds=10.0):
    """A deadline."""
    return time.monotonic() + seconds


class Undo(Exception):
    """Rolls back what a test broke."""


@pytest.fixture(scope="module")
def engine():
    """SQLite in memory with the shop in it, and with its constraints switched off so that they can be broken."""
    engine = create_engine("sqlite://")
    with engine.begin() as conn:
        SCHEMA.create(conn)
        SHOP.fill(conn)
    with engine.connect() as conn:
        conn.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
    yield engine
    engine.dispose()


@pytest.fixture
def conn(engine):
    """A connection whose changes are undone."""
    with engine.connect() as conn:
        yield conn
        conn.rollback()


def test_a_sound_shop_has_no_violations(conn):
    """Paid, reserved, cancelled, expired, refused and free orders: all rules are silent."""
    assert audit(conn) == []


def test_the_summary_says_what_there_is(conn):
    """Figures by hand; of the orders, three of each of these states concern a gateway, and one is expired."""
    found = summary(conn)
    assert found.orders == {"CANCELLED": 2 + 3, "EXPIRED": 1 + 1, "PAID": 3 + 3, "PAYING": 3, "RESERVED": 1 + 3}
    assert (found.sold, found.revenue) == (2 + 1 + 2 + 1 + 3, 2 * 300 + 1000 + 2 * 1000 + 3 * 1000)
    assert (found.on_hand, found.reserved, found.left) == (95 + 50 + 5 - 9, 4 + 6, 131)
    assert (found.skus, found.accounts, found.balance) == (3, 3, 64_000 - 3_600 + 9_000 - 1_000 + 2 * 3_000)


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda b: f"{b.rule}-{b.subject}"[:40])
def test_each_rule_finds_its_damage(conn, breakage):
    """The control: the damage is there, so the rule names it; and no violation is lost because the audit runs only the
    rules that a pass before them has named."""
    for statement in breakage.statements:
        assert conn.execute(statement).rowcount != 0, "the damage must be done"
    found = by_rules(conn)
    assert [each for each in found if each.rule == breakage.rule and breakage.subject in each.subject]
    assert audit(conn) == found


def found_by(conn, breakage):
    """The violations of a breakage's rule about its subject."""
    found = BY_NAME[breakage.rule](conn, Scope())
    return [each for each in found if each.rule == breakage.rule and breakage.subject in each.subject]


def by_rules(conn, limit=20):
    """What all rules find, each by itself."""
    return [violation for rule in RULES for violation in rule(conn, Scope(limit))]


def test_a_broken_chain_is_found_behind_many_gaps(conn):
    """Rows that are out of step for another reason do not use up the limit of the rule about chains."""
    found = (
        conn.execute(select(ledger).where(ledger.c.kind == "stock", ledger.c.version == 1).limit(1)).mappings().one()
    )
    for n in range(40):  # an entry without those before it, and the last one is not what it follows from
        row = {**found, "row_id": f"gap {n:02}", "version": 3, "request_id": f"r{n}"}
        conn.execute(insert(ledger).values(row))
    for version, left in ((1, 5), (2, 9)):
        row = {**found, "row_id": "last", "version": version, "request_id": f"last {version}", "delta": 5, "held": 0}
        conn.execute(insert(ledger).values({**row, "amount_after": left, "held_after": 0}))
    told = [each.subject for each in BY_NAME["ledger-chain"](conn, Scope(20))]
    assert "stock:last version 2" in told


def test_a_sound_shop_needs_no_closer_look(conn):
    """One pass for several rules is enough where nothing is wrong, also when events were purged."""
    assert set().union(*(screen.look(conn) for screen in SCREENS)) == set()
    conn.execute(insert(watermarks).values(name=PURGED, at_ms=2**61))
    conn.execute(delete(outbox).where(outbox.c.state != "DEAD"))
    assert set().union(*(screen.look(conn) for screen in SCREENS)) == set()


def test_every_rule_is_reached():
    """Each rule is named by a screen, or runs in any case."""
    assert {rule for screen in SCREENS for rule in screen.rules} | set(UNSCREENED) == set(RULES)


@pytest.mark.parametrize("seed", range(40))
def test_random_damage_is_found_as_well(conn, seed):
    """The same for damage that nobody has thought of: other values, records that are gone or are there twice."""
    chance = Random(seed)
    for _ in range(chance.choice((1, 1, 2, 3))):
        damage(conn, chance)
    assert audit(conn, limit=1_000) == by_rules(conn, 1_000)


def damage(conn, chance):
    """Change, remove or copy one record."""
    table = chance.choice(
        (
            *(ledger, ledger, ledger, orders, order_lines, payments, requests, outbox, skus, products, point_accounts),
            *(payment_attempts, payment_attempts, point_charges, refunds),
        )
    )
    records = conn.execute(select(table)).mappings().all()
    record = dict(chance.choice(records))
    here = and_(*(column == record[column.name] for column in table.primary_key))
    how = chance.choice(("change", "change", "delete", "copy"))
    if how == "delete":
        conn.execute(delete(table).where(here))
        return
    columns = [column.name for column in table.c if column.name not in table.primary_key or how == "change"]
    column = chance.choice([name for name in columns if name not in ("outcome", "body")])
    other = chance.choice(records)[column]
    value = other + chance.choice((-1, 0, 1)) if isinstance(other, int) and other < 2**40 else other
    if how == "change":
        with suppress(IntegrityError):  # the value is another record's key: nothing is damaged
            conn.execute(update(table).where(here).values({column: value}))
        return
    copy = {**record, column: value}
    for key in table.primary_key:
        copy[key.name] = 10**6 + chance.randrange(10**6) if isinstance(record[key.name], int) else f"{chance.random()}"
    with suppress(IntegrityError):
        conn.execute(insert(table).values(copy))


def test_every_rule_has_its_control():
    """No rule goes without damage that it must find, and each reports under its own name."""
    assert {breakage.rule for breakage in BREAKAGES} == set(BY_NAME)


def test_a_violation_reads_as_a_sentence(conn):
    """A violation names what was expected and what was found, with figures."""
    conn.execute(update(ledger).where(ledger.c.kind == "stock", ledger.c.note == "create").values(delta=0))
    first = audit(conn)[0]
    assert first == Violation("oversold", "stock:a", "at most 4 out", "15 out")
    assert first.detail == "stock:a: expected at most 4 out, found 15 out"


def test_the_output_is_bounded(conn):
    """However much is broken, a rule reports no more than it was allowed."""
    conn.execute(update(ledger).values(amount_after=-1))
    found = audit(conn, limit=2)
    assert max(sum(each.rule == rule for each in found) for rule in {each.rule for each in found}) == 2


def test_purged_requests_are_no_violation(conn):
    """What changed nothing may be forgotten; everything else is missed."""
    idle = conn.execute(delete(requests).where(or_(rejected(), moved_nothing()))).rowcount
    assert idle == 3, "the shop has refused three orders"
    assert audit(conn) == []
    conn.execute(delete(requests))
    assert {each.rule for each in audit(conn)} == {"request-missing"}


def test_recorded_outcomes_are_recognised(conn):
    """SQL recognises an outcome by the bytes that the store writes: no other outcome begins or ends like it."""
    outcomes = [
        Rejected("X", {"a": 1}, {"stock:a": 1}),
        Accepted({"a": 1}, {}),
        Accepted({"code": 1}, {"stock:a": 1}),
        Accepted({"versions": {}}, {"stock:a": 1}),
    ]
    blobs = [*map(encode_outcome, outcomes), *(encode_outcome(outcome, wrote=True) for outcome in outcomes)]
    conn.execute(delete(requests))
    for number, blob in enumerate(blobs):
        values = {"id": str(number), "fingerprint": "", "outcome": blob, "created_ms": number}
        conn.execute(insert(requests), values)
    told = conn.execute(select(rejected(), moved_nothing()).order_by(requests.c.id)).all()
    refused, nothing, something = (True, False), (False, True), (False, False)
    expected = [refused, nothing, something, something, refused, something, something, something]
    assert [tuple(map(bool, each)) for each in told] == expected


async def test_the_same_on_every_database(database_url):
    """All rules run on each database: silent on the sound shop, and each finds the damage its constraints allow."""
    await CREATED.migrate(database_url, SCHEMA)
    database = await Database.open(database_url)
    try:
        await database.transaction(SHOP.fill, deadline=soon())
        assert await database.read(audit) == []
        assert (await database.read(summary)).sold == 9
        for breakage in BREAKAGES:
            if not breakage.forbidden:
                with pytest.raises(Undo):
                    await database.transaction(lambda conn, b=breakage: break_and_look(conn, b), deadline=soon())
        assert await database.read(audit) == []
    finally:
        await database.close()


def break_and_look(conn, breakage):
    """Inside a transaction that is rolled back."""
    for statement in breakage.statements:
        conn.execute(statement)
    assert found_by(conn, breakage), breakage
    rule = BY_NAME[breakage.rule]
    assert rule in UNSCREENED or any(rule in screen.look(conn) for screen in SCREENS if rule in screen.rules)
    raise Undo

"""A large shop that the server itself writes: it has orders in every state, and the audit finds no violation.

Ten kinds of orders alternate, and each kind has its own SKUs and buyers. So the version and the sums of each ledger
entry follow from the number of the order, and one INSERT ... SELECT for each table writes them all. Neighbours: `audit`
measures on it; tests/shop/test_audit_work.py fills two sizes of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, text

from stockade.store.transaction.outbox_events import OUTBOX_PARTITIONS

KINDS = 10  # 0 reserved, 1 paid and cancelled, 2 expired, 3 reserved and paid by a gateway, 4 to 9 paid at once
PRICE = 10
STOCK = 10**9
BALANCE = 10**12
BEGAN_MS = 1_700_000_000_000
SPACING_MS = 1_000  # between two orders
RESERVED_MS = 600_000
REFUSED_EVERY = 20  # one refused order, and one request that changes nothing, for so many orders
PAD = "x" * 120  # outcomes and events are as long as real ones


@dataclass(frozen=True, slots=True)
class Spelling:
    """The SQL of one database.

    Attributes:
        numbers: rows `n` from 0 up to `{last}`.
        hexadecimal: `{n}` in 31 hexadecimal digits.
        divide: `{a}` by `{b}` without a rest.
        string: `{x}` as text.
        blob: the text `{x}` as bytes.
        before: statements that prepare the session.
        after: statements that give it back as it was.
    """

    numbers: str
    hexadecimal: str
    divide: str
    string: str
    blob: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


SPELLINGS = {
    "postgresql": Spelling(
        "generate_series(0, {last}) AS numbers(n)",
        "lpad(to_hex({n}), 31, '0')",
        "({a} / {b})",
        "CAST({x} AS text)",
        "convert_to({x}, 'UTF8')",
    ),
    "mariadb": Spelling(
        "(SELECT seq AS n FROM seq_0_to_{last}) AS numbers",
        "lower(lpad(hex({n}), 31, '0'))",
        "({a} DIV {b})",
        "CAST({x} AS char)",
        "{x}",
        ("SET SESSION sql_mode = CONCAT(@@sql_mode, ',PIPES_AS_CONCAT,ANSI_QUOTES')", "SET SESSION unique_checks = 0"),
        ("SET SESSION sql_mode = DEFAULT", "SET SESSION unique_checks = DEFAULT"),
    ),
    "sqlite": Spelling(
        "(WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < {last}) SELECT n FROM c) AS numbers",
        "printf('%031x', {n})",
        "({a} / {b})",
        "CAST({x} AS text)",
        "CAST({x} AS blob)",
    ),
}


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a shop.

    Attributes:
        orders: a multiple of ten.
        skus: a multiple of ten, each with a product of its own.
        users: a multiple of ten.
    """

    orders: int
    skus: int
    users: int

    @classmethod
    def of(cls, orders: int) -> "Size":
        """A shop with ten orders for each buyer and a thousand for each SKU."""
        return cls(orders, max(KINDS, orders // 1000 // KINDS * KINDS), max(KINDS, orders // 10 // KINDS * KINDS))

    @property
    def ends_ms(self) -> int:
        """The time of the last order, in milliseconds since 1970."""
        return BEGAN_MS + self.orders * SPACING_MS


def fill(connection: Connection, size: Size) -> None:
    """Write the shop into an empty database, in the transaction of the connection."""
    spelling = SPELLINGS[connection.dialect.name]
    for statement in (*spelling.before, *statements(spelling, size), *spelling.after):
        connection.execute(text(statement.replace(":", "\\:")))


class _Words:
    """The expressions over the number `n` of an order that several tables share."""

    def __init__(self, spelling: Spelling, size: Size) -> None:
        self._spelling = spelling
        self.size = size
        self.skus, self.users, self.turns = size.skus // KINDS, size.users // KINDS, size.orders // KINDS
        turn = self.divided("n", KINDS)
        self.kind = f"(n % {KINDS})"
        self.sku = self.name("sku-", f"{self.kind} + {KINDS} * ({turn} % {self.skus})")
        self.user = self.name("user-", f"{self.kind} + {KINDS} * ({turn} % {self.users})")
        self.nth_of_sku = self.divided("n", KINDS * self.skus)
        self.nth_of_user = self.divided("n", KINDS * self.users)
        self.at_ms = f"{BEGAN_MS} + CAST(n AS {'signed' if 'DIV' in spelling.divide else 'bigint'}) * {SPACING_MS}"
        self.order, self.step, self.claim = self.id("a"), self.id("b"), self.id("d")
        self.part = f"n % {OUTBOX_PARTITIONS}"

    def id(self, prefix: str, number: str = "n") -> str:
        """A request id of 32 digits; ids of one prefix grow with the number."""
        return f"'{prefix}' || {self._spelling.hexadecimal.format(n=number)}"

    def divided(self, value: str, by: int) -> str:
        return self._spelling.divide.format(a=value, b=by)

    def name(self, prefix: str, number: str) -> str:
        return f"'{prefix}' || {self._spelling.string.format(x=f'({number})')}"

    def blob(self, value: str) -> str:
        return self._spelling.blob.format(x=value)

    def of_each(self, count: int) -> str:
        return self._spelling.numbers.format(last=count - 1)


def statements(spelling: Spelling, size: Size) -> Iterator[str]:
    """The statements that write all tables."""
    words = _Words(spelling, size)
    yield from _catalogue(words)
    yield from _orders(words)
    yield from _stock_entries(words)
    yield from _other_entries(words)
    yield from _requests(words)
    yield _refused(words)
    yield from _events(words)


def _catalogue(w: _Words) -> Iterator[str]:
    """Products, SKUs and accounts as they are after all orders."""
    skus, users = w.of_each(w.size.skus), w.of_each(w.size.users)
    sku, user, product = w.name("sku-", "n"), w.name("user-", "n"), w.name("product-", "n")
    times = w.divided(f"({w.turns} - {w.divided('n', KINDS)} + {w.skus} - 1)", w.skus)
    sold = f"CASE WHEN {w.kind} >= 3 THEN {times} ELSE 0 END"
    held = f"CASE WHEN {w.kind} = 0 THEN {times} ELSE 0 END"
    entries = f"CASE WHEN {w.kind} IN (1, 2, 3) THEN 2 ELSE 1 END"
    yield (
        "INSERT INTO products (id, name, category, status, created_ms) "
        f"SELECT {product}, {w.name('Name ', 'n')}, 'things', 'ACTIVE', {BEGAN_MS} FROM {skus}"
    )
    yield (
        "INSERT INTO skus (id, product_id, price, on_hand, reserved, version, stamp) "
        f"SELECT {sku}, {product}, {PRICE}, {STOCK} - {sold}, {held}, 1 + {times} * {entries}, 0 FROM {skus}"
    )
    times = w.divided(f"({w.turns} - {w.divided('n', KINDS)} + {w.users} - 1)", w.users)
    spent = f"CASE WHEN {w.kind} > 3 THEN {times} * {PRICE} ELSE 0 END"
    entries = f"CASE WHEN {w.kind} IN (0, 2, 3) THEN 0 WHEN {w.kind} = 1 THEN 2 ELSE 1 END"
    yield (
        "INSERT INTO point_accounts (id, balance, held, version, stamp) "
        f"SELECT {user}, {BALANCE} - {spent}, 0, 1 + {times} * {entries}, 0 FROM {users}"
    )


def _orders(w: _Words) -> Iterator[str]:
    orders = w.of_each(w.size.orders)
    status = (
        f"CASE {w.kind} WHEN 0 THEN 'RESERVED' WHEN 1 THEN 'CANCELLED' WHEN 2 THEN 'EXPIRED' ELSE 'PAID' END, {PRICE}, "
        f"CASE WHEN {w.kind} IN (0, 2, 3) THEN 'LATER' ELSE 'POINTS' END"
    )
    until_ms = f"CASE WHEN {w.kind} = 0 THEN {w.at_ms} + {RESERVED_MS} ELSE 0 END"
    paid = f"CASE WHEN {w.kind} IN (0, 2) THEN '' WHEN {w.kind} = 3 THEN {w.claim} ELSE {w.order} END"
    version = f"CASE WHEN {w.kind} = 3 THEN 3 WHEN {w.kind} IN (1, 2) THEN 2 ELSE 1 END"
    yield (
        "INSERT INTO orders (id, user_id, status, total, pay, reserved_until_ms, payment_id, reason, created_ms, "
        f"version, stamp, attempts) SELECT {w.order}, {w.user}, {status}, {until_ms}, {paid}, '', {w.at_ms}, "
        f"{version}, 0, CASE WHEN {w.kind} = 3 THEN 1 ELSE 0 END FROM {orders}"
    )
    product = w.sku.replace("'sku-'", "'product-'")
    yield (
        "INSERT INTO order_lines (order_id, line, sku_id, product_id, quantity, price, created_ms) "
        f"SELECT {w.order}, 1, {w.sku}, {product}, 1, {PRICE}, {w.at_ms} FROM {orders}"
    )
    method = f"CASE WHEN {w.kind} = 3 THEN 'PG' ELSE 'POINTS' END"
    yield (
        "INSERT INTO payments (id, order_id, user_id, status, method, amount, created_ms, version, stamp) "
        f"SELECT {paid}, {w.order}, {w.user}, CASE WHEN {w.kind} = 1 THEN 'CANCELLED' ELSE 'APPROVED' END, {method}, "
        f"{PRICE}, {w.at_ms}, CASE WHEN {w.kind} = 1 THEN 2 ELSE 1 END, 0 FROM {orders} WHERE {w.kind} NOT IN (0, 2)"
    )
    yield (
        "INSERT INTO payment_attempts (id, subject, subject_id, reference, user_id, gateway, payment_key, amount, "
        "currency, fingerprint, created_ms, status, gateway_id, charged, refunds, code, resolve_at_ms, tries, version, "
        f"stamp) SELECT {w.claim}, 'order', {w.order}, {w.order} || '-1', {w.user}, 'toss', {w.claim}, {PRICE}, 'KRW', "
        f"'{'0' * 32}', {w.at_ms}, 'APPROVED', {w.claim}, {PRICE}, 0, '', 0, 0, 2, 0 FROM {orders} WHERE {w.kind} = 3"
    )


def _entries(w: _Words, values: str, count: int, where: str = "1 = 1") -> str:
    return (
        "INSERT INTO ledger (kind, row_id, request_id, version, delta, held, amount_after, held_after, note, ref, "
        f"at_ms) SELECT {values} FROM {w.of_each(count)} WHERE {where}"
    )


def _stock_entries(w: _Words) -> Iterator[str]:
    """By kind: the version, the differences and the amounts after them, for the n-th order of the SKU."""
    k, orders = w.nth_of_sku, w.size.orders
    made = f"'stock', {w.name('sku-', 'n')}, {w.id('f')}, 1, {STOCK}, 0, {STOCK}, 0, 'create', '', {BEGAN_MS}"
    yield _entries(w, made, w.size.skus)
    first, second = f"2 * {k} + 2", f"2 * {k} + 3"
    for where, request, moved in (
        ("= 0", w.order, f"{k} + 2, 0, 1, {STOCK}, {k} + 1, 'reserve'"),
        ("= 1", w.order, f"{first}, -1, 0, {STOCK} - 1, 0, 'deduct'"),
        ("= 1", w.step, f"{second}, 1, 0, {STOCK}, 0, 'restore'"),
        ("= 2", w.order, f"{first}, 0, 1, {STOCK}, 1, 'reserve'"),
        ("= 2", w.step, f"{second}, 0, -1, {STOCK}, 0, 'release'"),
        ("= 3", w.order, f"{first}, 0, 1, {STOCK} - {k}, 1, 'reserve'"),
        ("= 3", w.step, f"{second}, -1, -1, {STOCK} - {k} - 1, 0, 'deduct'"),
        ("> 3", w.order, f"{k} + 2, -1, 0, {STOCK} - {k} - 1, 0, 'deduct'"),
    ):
        values = f"'stock', {w.sku}, {request}, {moved}, {w.order}, {w.at_ms}"
        yield _entries(w, values, orders, f"{w.kind} {where}")


def _other_entries(w: _Words) -> Iterator[str]:
    """The entries of points, and the steps of orders and payments."""
    j, orders = w.nth_of_user, w.size.orders
    charge = f"'points', {w.name('user-', 'n')}, {w.id('0')}, 1, {BALANCE}, 0, {BALANCE}, 0, 'charge', {w.id('0')}"
    yield _entries(w, f"{charge}, {BEGAN_MS}", w.size.users)
    for where, request, moved in (
        ("= 1", w.order, f"2 * {j} + 2, -{PRICE}, 0, {BALANCE} - {PRICE}, 0, 'use'"),
        ("= 1", w.step, f"2 * {j} + 3, {PRICE}, 0, {BALANCE}, 0, 'refund'"),
        ("> 3", w.order, f"{j} + 2, -{PRICE}, 0, {BALANCE} - {PRICE} * ({j} + 1), 0, 'use'"),
    ):
        yield _entries(w, f"'points', {w.user}, {request}, {moved}, {w.order}, {w.at_ms}", orders, f"{w.kind} {where}")
    for where, request, version, note in (
        ("= 1", w.step, 2, "CANCELLED"),
        ("= 2", w.step, 2, "EXPIRED"),
        ("= 3", w.claim, 2, "PAYING"),
        ("= 3", w.step, 3, "PAID"),
    ):
        values = f"'order', {w.order}, {request}, {version}, 0, 0, 0, 0, '{note}', {w.order}, {w.at_ms}"
        yield _entries(w, values, orders, f"{w.kind} {where}")
    values = f"'attempt', {w.claim}, {w.step}, 2, 0, 0, 0, 0, 'APPROVED', {w.order}, {w.at_ms}"
    yield _entries(w, values, orders, f"{w.kind} = 3")
    values = f"'payment', {w.order}, {w.step}, 2, 0, 0, 0, 0, 'CANCELLED', {w.order}, {w.at_ms}"
    yield _entries(w, values, orders, f"{w.kind} = 1")


def _requests(w: _Words) -> Iterator[str]:
    orders, few = w.size.orders, max(1, w.size.orders // REFUSED_EVERY)
    done = w.blob(f'\'{{"data":{{"padding":"{PAD}"}},"versions":{{"stock:x":2}}}}\'')
    idle = w.blob('\'{"data":{},"versions":{}}\'')
    refused = w.blob('\'{"code":"OUT_OF_STOCK","data":{"order_id":"\' || ' + w.id("e") + ' || \'"},"versions":{}}\'')
    for id_, outcome, count, where in (
        (w.order, done, orders, "1 = 1"),
        (w.step, done, orders, f"{w.kind} IN (1, 2, 3)"),
        (w.claim, done, orders, f"{w.kind} = 3"),
        (w.id("f"), done, w.size.skus, "1 = 1"),
        (w.id("0"), done, w.size.users, "1 = 1"),
        (w.id("e"), refused, few, "1 = 1"),
        (w.id("c"), idle, few, "1 = 1"),
    ):
        yield (
            f"INSERT INTO requests (id, fingerprint, outcome, created_ms) SELECT {id_}, '{'0' * 32}', {outcome}, "
            f"{w.at_ms} FROM {w.of_each(count)} WHERE {where}"
        )


def _refused(w: _Words) -> str:
    few = max(1, w.size.orders // REFUSED_EVERY)
    return (
        "INSERT INTO refused_orders (id, user_id, created_ms) "
        f"SELECT {w.id('e')}, {w.user}, {w.at_ms} FROM {w.of_each(few)}"
    )


def _events(w: _Words) -> Iterator[str]:
    """Most events are confirmed, the last ones wait for a sink, few are dead letters."""
    orders, few = w.size.orders, max(1, w.size.orders // REFUSED_EVERY)
    body = w.blob(f"'{PAD}'")
    state = f"CASE WHEN n % 500 = 499 THEN 'DEAD' WHEN n >= {orders * 9 // 10} THEN 'NEW' ELSE 'CONFIRMED' END"
    key, sku, user = (
        f"'stock:' || {w.sku}",
        f"'stock:' || {w.name('sku-', 'n')}",
        f"'points:' || {w.name('user-', 'n')}",
    )
    step = f"CASE {w.kind} WHEN 1 THEN 'order.cancelled' WHEN 2 THEN 'order.expired' ELSE 'order.paid' END"
    stepped = f"{w.kind} IN (1, 2, 3)"
    for id_, seq, kind, about, count, where in (
        (w.id("f"), 0, "'stock.changed'", sku, w.size.skus, "1 = 1"),
        (w.id("0"), 0, "'points.charged'", user, w.size.users, "1 = 1"),
        (w.id("e"), 0, "'order.rejected'", key, few, "1 = 1"),
        (w.order, 0, "'order.placed'", key, orders, "1 = 1"),
        (w.order, 1, "'stock.changed'", key, orders, "1 = 1"),
        (w.step, 0, step, key, orders, stepped),
        (w.step, 1, "'stock.changed'", key, orders, stepped),
    ):
        yield (
            'INSERT INTO outbox (request_id, seq, kind, "key", body, created_ms, part, state) SELECT '
            f"{id_}, {seq}, {kind}, {about}, {body}, {w.at_ms}, {w.part}, {state} FROM {w.of_each(count)} WHERE {where}"
        )

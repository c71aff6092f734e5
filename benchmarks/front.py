"""The pages of the shop front over a million products: time of an answer, and rows that its statements touch.

    python -m benchmarks.front                              a million products, on each database
    python -m benchmarks.front --kinds sqlite --products 100000
    python -m benchmarks.front --kinds sqlite --unknown     SQLite without ANALYZE

Each SKU has its entry in the ledger, its request and its event; the events wait, and half of them are dead letters. Of
a hundred products one has the word `red`; the last ones by id have the word `zebra`. Requests go through the
application in this process, without a socket. Neighbours: `big_shop` writes the shop, `popular` opens the databases.
"""

import argparse
import re
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from statistics import median

import httpx2
import uvloop
from sqlalchemy import Connection, text

from benchmarks.audit import analysing, run_all
from benchmarks.big_shop import KINDS as KINDS_OF_ORDERS
from benchmarks.big_shop import SPELLINGS, Size, fill
from benchmarks.popular import KINDS, WAIT_S, migrated
from stockade.core.clock import now_ms
from stockade.shop.bootstrap import open_shop
from stockade.shop.config.settings import Settings
from stockade.shop.front.sessions import COOKIE, FORM_TOKEN, Sessions
from stockade.shop.http.routing.app import create_app
from stockade.shop.queries.page import encode_cursor
from stockade.store import Database
from tests.shop.rows_touched import rows_touched

PRODUCTS = 1_000_000
ASKED = 11  # answers of each page
LONGEST_NAME = 24  # letters
TRIGGERS = [f"DROP TRIGGER product_name_parts_{name}" for name in ("inserted", "updated", "deleted")]
POSTGRES_TRIGGERS = ["DROP TRIGGER product_name_parts_changed ON products"]


def catalogue(connection: Connection, products: int) -> None:
    """Write the shop. The index of names is filled at once: triggers would do it row by row, and here they are gone."""
    kind = connection.dialect.name
    spelling, integer, length = SPELLINGS[kind], "bigint", "length"
    if kind == "mariadb":
        integer, length = "signed", "char_length"
    number, sku_number = (f"CAST(substr(id, {len(name) + 1}) AS {integer})" for name in ("product-", "sku-"))
    run_all(POSTGRES_TRIGGERS if kind == "postgresql" else TRIGGERS, connection)
    if kind == "mariadb":  # `big_shop` reckons with fewer orders than SKUs, and MariaDB with numbers without a sign
        connection.execute(text("SET SESSION sql_mode = CONCAT(@@sql_mode, ',NO_UNSIGNED_SUBTRACTION')"))
    fill(connection, Size(KINDS_OF_ORDERS, products, KINDS_OF_ORDERS))
    names = (
        f"FROM products JOIN {spelling.numbers.format(last=LONGEST_NAME)} ON n < {length}(folded_name) ORDER BY 1, 2"
    )
    statements = [
        f"UPDATE products SET name = name || ' red' WHERE {number} % 100 = 50",
        "UPDATE products SET name = name || ' zebra' WHERE id >= 'product-99'",
        "UPDATE products SET folded_name = lower(name)",
        f"UPDATE skus SET price = 1000 + (7919 * {sku_number}) % 99991",
        "UPDATE outbox SET state = CASE WHEN id % 2 = 0 THEN 'DEAD' ELSE 'NEW' END",
        "DELETE FROM product_name_parts WHERE product_id <> ''",
        f"INSERT INTO product_name_parts (part, product_id) SELECT DISTINCT substr(folded_name, n + 1, 3), id {names}",
    ]
    run_all([*spelling.before, *statements, *spelling.after], connection)


class Visitor:
    """An administrator's browser.

    Args:
        http: speaks to the application.
        sessions: of it.
    """

    def __init__(self, http: httpx2.AsyncClient, sessions: Sessions) -> None:
        self._http = http
        session = sessions.begin(now_ms() // 1000, "root", admin=True)
        self._cookie = {"Cookie": f"{COOKIE}={sessions.sign(session)}"}
        self._form = {FORM_TOKEN: sessions.form_token(session)}

    async def get(self, path: str) -> httpx2.Response:
        """A page."""
        return await self._http.get(path, headers=self._cookie)

    async def post(self, path: str) -> httpx2.Response:
        """Send a form without fields."""
        return await self._http.post(path, headers=self._cookie, data=self._form)


@asynccontextmanager
async def visiting(database: Database) -> AsyncIterator[Visitor]:
    """The application over a database, and its visitor."""
    url = database.url.render_as_string(False)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(database=url, state_dir=folder, token_secret="of-a-benchmark-" * 3, shop_front="yes")
        async with open_shop(settings, jobs=False) as shop:
            app, state = create_app(shop)
            transport = httpx2.ASGITransport(app=app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://shop", timeout=WAIT_S) as http:
                yield Visitor(http, Sessions(state.tokens.secrets))


def pages(products: int) -> dict[str, str]:
    """What is asked for, by a name."""
    deep, dear = f"product-{products * 9 // 10}", 1000 + 80_000

    def behind(scope: str, *key: str | int) -> str:
        return f"cursor={encode_cursor(scope, key)}"

    return {
        "products": "/shop",
        "products, far behind": f"/shop?{behind('products:id:asc', deep)}",
        "cheapest first": "/shop?sort=cheap",
        "cheapest first, far behind": f"/shop?sort=cheap&{behind('products:price:asc', dear, deep)}",
        "dearest first": "/shop?sort=dear",
        "search: one has it": f"/shop?q=name+{products - 7}",
        "search: nobody has it": "/shop?q=green",
        "search: one of a hundred has it": "/shop?q=red",
        "search: the last ones have it": "/shop?q=zebra",
        "search: the last ones have it, by price": "/shop?q=zebra&sort=dear",
        "search: two figures": "/shop?q=42",
        "search: all have it, by price": "/shop?q=name&sort=cheap",
        "a product": f"/shop/products/{deep}",
        "stock": "/shop/admin",
        "stock, far behind": f"/shop/admin?{behind('skus', deep.replace('product', 'sku'))}",
        "audit, before it is run": "/shop/admin/audit",
        "events and dead letters": "/shop/admin/events",
    }


async def measure(kind: str, products: int, *, statistics: bool) -> None:
    """Every page on one database."""
    async with migrated(kind) as database:
        deadline = time.monotonic() + WAIT_S
        began_s = time.monotonic()
        await database.transaction(partial(catalogue, products=products), deadline=deadline)
        if statistics:
            await database.transaction(partial(run_all, analysing(kind)), deadline=deadline)
        print(f"{kind}: {products:,} products are there after {time.monotonic() - began_s:.0f} s", flush=True)
        async with visiting(database) as visitor:
            for name, path in pages(products).items():
                await show(kind, name, visitor, path)
            began_s = time.perf_counter()
            audited = await visitor.post("/shop/admin/audit")
            print(
                f"| {kind} | the audit, run ({audited.status_code}) | {time.perf_counter() - began_s:,.1f} s | | |",
                flush=True,
            )


async def show(kind: str, name: str, visitor: Visitor, path: str) -> None:
    """A row of the table: median and longest time of a page, and the rows that its statements touch."""
    times = []
    for _ in range(ASKED):
        began_s = time.perf_counter()
        answer = await visitor.get(path)
        times.append((time.perf_counter() - began_s) * 1000)
        assert answer.status_code == 200, (path, answer.status_code, re.sub(r"<[^>]+>", "", answer.text)[-400:])
    with rows_touched() as counted:
        await visitor.get(path)
    print(f"| {kind} | {name} | {median(times):,.1f} | {max(times):,.1f} | {counted.count:,} |", flush=True)


async def run(options: argparse.Namespace) -> None:
    """What the command line asks for."""
    print("| | page | median ms | longest ms | rows touched (SQLite: steps) |\n|---|---|--:|--:|--:|")
    for kind in options.kinds:
        await measure(kind, options.products, statistics=not options.unknown)


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.front", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="databases (default all)")
    parser.add_argument("--products", type=int, default=PRODUCTS, help="a multiple of ten (default 1000000)")
    parser.add_argument("--unknown", action="store_true", help="without statistics of the tables")
    uvloop.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()

"""Pages of a large shop read as many rows as those of a small one, on each database. Neighbour: `benchmarks/front.py`,
which measures a million products."""

import html
import re
from functools import partial

from sqlalchemy import func, insert, select, text

from stockade.shop.front.pages import admin
from stockade.shop.front.pages.catalog import PER_PAGE
from stockade.shop.model.tables import products, skus
from stockade.shop.queries import name_search
from stockade.store.schema.tables import outbox
from stockade.store.transaction.outbox_events import OUTBOX_PARTITIONS
from tests.front.conftest import visiting
from tests.http.conftest import make_schema
from tests.shop.rows_touched import EVERY, rows_touched

FEW, MANY, LAST = 300, 3_000, 50
MORE = 1.3  # how much more a page may read where there are ten times as many
LISTS = ("/shop", "/shop?sort=cheap", "/shop?sort=dear", "/shop/admin")
PAGES = (*LISTS, "/shop/products/product-000123", "/shop/admin/audit", "/shop/admin/events")


def add(conn, numbers):
    """Products with a SKU each, and events that the sink refused."""
    names = [f"{number:06}" for number in numbers]
    product = {"category": "clothes", "status": "ACTIVE", "created_ms": 0}
    kinds = {n: "zebra" if int(n) >= MANY - LAST else "shirt" for n in names}
    named = [
        {"id": f"product-{n}", "name": f"{kinds[n]} {n}", "folded_name": f"{kinds[n]} {n}", **product} for n in names
    ]
    conn.execute(insert(products), named)
    sku = {"on_hand": 9, "reserved": 2, "version": 1, "stamp": 0}
    prices = [{"id": f"sku-{n}", "product_id": f"product-{n}", "price": 1000 + int(n) % 97, **sku} for n in names]
    conn.execute(insert(skus), prices)
    event = {"seq": 0, "kind": "stock.changed", "body": b"{}", "created_ms": 0, "state": "DEAD", "error": "refused"}
    refused = [{"request_id": n, "key": f"stock:sku-{n}", "part": int(n) % OUTBOX_PARTITIONS, **event} for n in names]
    conn.execute(insert(outbox), refused)


def analysed(conn):
    """Statistics as PostgreSQL and MariaDB make them by themselves, sooner or later; SQLite never does."""
    kind = conn.dialect.name
    tables = ", ".join(each.name for each in (products, skus, outbox))
    if kind != "sqlite":
        conn.execute(text(f"ANALYZE {tables}" if kind == "postgresql" else f"ANALYZE TABLE {tables}"))


async def touched(visitor, path):
    """How many rows the statements of a page touch; and the page."""
    with rows_touched() as counted:
        page = await visitor.get(path)
    assert page.status_code == 200, path
    return counted.count, page.text


async def test_a_page_of_a_large_shop_reads_as_few_rows(database_url, tmp_path, monkeypatch):
    """With ten times the products and dead letters each page, also the one behind it, touches as many rows, and a
    search does not read the products before those that it finds; the control, which reads all, touches more."""
    monkeypatch.setattr(admin, "MAX_COUNTED", 100)  # so that the small shop has more than the pages show
    monkeypatch.setattr(admin, "MAX_LETTERS", 10)
    monkeypatch.setattr(name_search, "MAX_FOUND", 5)
    monkeypatch.setattr(name_search, "MAX_READ", 10)
    await make_schema(database_url)
    counts = []
    async with visiting(database_url, tmp_path) as root:
        await root.sign_in("root", admin=True)
        for numbers in (range(FEW), range(FEW, MANY)):
            database = root.api.state.shop.database
            await database.write(partial(add, numbers=numbers), timeout_s=20)
            await database.write(analysed, timeout_s=20)
            found = {}
            for path in PAGES:
                found[path], page = await touched(root, path)
                if path in LISTS:
                    behind = re.search(r'rel="next" href="([^"]+)"', page)[1]
                    found[f"{path}, behind"], _ = await touched(root, html.unescape(behind))
            searched, page = await touched(root, "/shop?q=zebra")
            with rows_touched() as counted:
                await root.api.state.shop.read(lambda conn: conn.execute(select(func.sum(skus.c.price))).scalar())
            found["control"] = counted.count
            counts.append(found)
    assert page.count("<h2>") == PER_PAGE
    small, large = counts
    if not database_url.startswith("postgres"):  # it reads a table of this size at once, which costs it less
        assert searched < large["control"] / 3
    more = {path: (small[path], large[path]) for path in large if large[path] > MORE * small[path] + EVERY}
    assert list(more) == ["control"], more

"""A shop that sells too much, and the same shop corrected: `/broken/orders` and `/fixed/orders`.

Between the look of the broken form at the stock and its write another buyer looks too.
"""

import asyncio
import sqlite3

from fastapi import FastAPI, HTTPException

app = FastAPI()
db = sqlite3.connect("shop.db", isolation_level=None)  # in the folder in which the server starts
db.execute("CREATE TABLE IF NOT EXISTS stock (sku TEXT PRIMARY KEY, units INTEGER)")
db.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, sku TEXT, buyer TEXT)")


async def charge(buyer: str) -> None:
    """Stands for a payment provider, which takes its time."""
    await asyncio.sleep(0.005)


@app.put("/stock/{sku}")
async def put_stock(sku: str, units: int) -> dict[str, int]:
    """Put units on sale."""
    db.execute("INSERT OR REPLACE INTO stock VALUES (?, ?)", (sku, units))
    return {"units": units}


@app.get("/stock/{sku}")
async def get_stock(sku: str) -> dict[str, int]:
    """How many units are left."""
    (units,) = db.execute("SELECT units FROM stock WHERE sku = ?", (sku,)).fetchone()
    return {"units": units}


@app.post("/broken/orders", status_code=201)
async def order(sku: str, buyer: str) -> dict[str, int | None]:
    """Sell one unit."""
    (units,) = db.execute("SELECT units FROM stock WHERE sku = ?", (sku,)).fetchone()
    if units < 1:  # the check …
        raise HTTPException(409, "sold out")
    await charge(buyer)
    db.execute("UPDATE stock SET units = ? WHERE sku = ?", (units - 1, sku))  # … and the act
    return new_order(sku, buyer)


@app.post("/fixed/orders", status_code=201)
async def order_in_one_statement(sku: str, buyer: str) -> dict[str, int | None]:
    """Sell one unit; it goes back when the payment fails."""
    taken = db.execute("UPDATE stock SET units = units - 1 WHERE sku = ? AND units > 0", (sku,))
    if not taken.rowcount:  # check and act are one statement
        raise HTTPException(409, "sold out")
    try:
        await charge(buyer)
    except Exception:
        db.execute("UPDATE stock SET units = units + 1 WHERE sku = ?", (sku,))
        raise
    return new_order(sku, buyer)


def new_order(sku: str, buyer: str) -> dict[str, int | None]:
    """Write an order."""
    return {"id": db.execute("INSERT INTO orders (sku, buyer) VALUES (?, ?)", (sku, buyer)).lastrowid}

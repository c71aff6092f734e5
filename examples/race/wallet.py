"""Four races in one small service, each in a broken and a fixed form, chosen by the first part of the path.

lost update, double spend, double submit, and a check across two rows: the TOML files beside this one find each in
`/broken/…` and pass on `/fixed/…`.
"""

import asyncio
import sqlite3
from typing import Annotated, Literal

from fastapi import FastAPI, Header, HTTPException

app = FastAPI()
db = sqlite3.connect("wallet.db", isolation_level=None)  # in the folder in which the server starts
db.execute("CREATE TABLE IF NOT EXISTS accounts (owner TEXT, name TEXT, balance INTEGER, PRIMARY KEY (owner, name))")
db.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, key TEXT)")
db.execute("CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, order_id INTEGER)")

Form = Literal["broken", "fixed"]


async def elsewhere() -> None:
    """Stands for any await between a check and its act: a query, a payment provider, another service."""
    await asyncio.sleep(0.002)


def balance(owner: str, name: str) -> int:
    """The balance of an account, as it is now."""
    found = db.execute("SELECT balance FROM accounts WHERE owner = ? AND name = ?", (owner, name))
    return int(found.fetchone()[0])


@app.put("/accounts/{owner}/{name}")
async def open_account(owner: str, name: str, amount: int) -> dict[str, int]:
    """Open an account."""
    db.execute("INSERT INTO accounts VALUES (?, ?, ?)", (owner, name, amount))
    return {"balance": amount}


@app.get("/accounts/{owner}/{name}")
async def show_account(owner: str, name: str) -> dict[str, int]:
    """Show an account."""
    return {"balance": balance(owner, name)}


@app.post("/{form}/accounts/{owner}/{name}/charge", status_code=201)
async def charge(form: Form, owner: str, name: str, amount: int) -> dict[str, int]:
    """Lost update: two requests read one balance, and the second write overwrites the first."""
    if form == "broken":
        read = balance(owner, name)
        await elsewhere()
        db.execute("UPDATE accounts SET balance = ? WHERE owner = ? AND name = ?", (read + amount, owner, name))
    else:
        await elsewhere()
        db.execute("UPDATE accounts SET balance = balance + ? WHERE owner = ? AND name = ?", (amount, owner, name))
    return {"charged": amount}


@app.post("/{form}/accounts/{owner}/{name}/spend", status_code=201)
async def spend(form: Form, owner: str, name: str, amount: int) -> dict[str, int]:
    """Double spend: two requests see that the money is there, and both take it."""
    statement = "UPDATE accounts SET balance = balance - :amount WHERE owner = :owner AND name = :name"
    if form == "fixed":
        statement += " AND balance >= :amount"
    elif balance(owner, name) < amount:
        raise HTTPException(409, "not enough")
    await elsewhere()
    if not db.execute(statement, {"amount": amount, "owner": owner, "name": name}).rowcount:
        raise HTTPException(409, "not enough")
    return {"spent": amount}


@app.post("/{form}/orders", status_code=201)
async def order(form: Form, idempotency_key: Annotated[str, Header()]) -> dict[str, int | None]:
    """Double submit: two requests with one key find no order of it, and both make one."""
    if form == "fixed":  # the key is claimed before anything is done: the table lets one of them succeed
        claimed = db.execute("INSERT OR IGNORE INTO keys VALUES (?, NULL)", (idempotency_key,)).rowcount
    else:
        claimed = not db.execute("SELECT 1 FROM keys WHERE key = ?", (idempotency_key,)).fetchone()
    await elsewhere()
    if claimed:
        made = db.execute("INSERT INTO orders (key) VALUES (?)", (idempotency_key,)).lastrowid
        db.execute("INSERT OR REPLACE INTO keys VALUES (?, ?)", (idempotency_key, made))
        return {"order": made}
    for _ in range(100):  # the request that has claimed the key makes the order
        (made,) = db.execute("SELECT order_id FROM keys WHERE key = ?", (idempotency_key,)).fetchone()
        if made:
            return {"order": made}
        await elsewhere()
    raise HTTPException(503, "the first request with this key has not ended")


@app.post("/{form}/accounts/{owner}/{name}/withdraw", status_code=201)
async def withdraw(form: Form, owner: str, name: str, amount: int) -> dict[str, int]:
    """Check-then-act across two rows: an account may be overdrawn while the owner's other accounts cover it."""
    statement = "UPDATE accounts SET balance = balance - :amount WHERE owner = :owner AND name = :name"
    if form == "fixed":  # SQLite has one writer: elsewhere, lock all rows of the owner first, in one order
        statement += " AND (SELECT sum(balance) FROM accounts WHERE owner = :owner) >= :amount"
    else:  # each request writes another row, so that no condition on that row would help
        (covered,) = db.execute("SELECT sum(balance) FROM accounts WHERE owner = ?", (owner,)).fetchone()
        if covered < amount:
            raise HTTPException(409, "not covered")
    await elsewhere()
    if not db.execute(statement, {"amount": amount, "owner": owner, "name": name}).rowcount:
        raise HTTPException(409, "not covered")
    return {"withdrawn": amount}

"""How long rows and connections are held by the scope of the lock: each row, the whole order, the whole call.

Each call has an order of three rows and asks a slow gateway once. Everything is in bare transactions over the store's
pool, because the store itself never holds a row over a call.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sqlalchemy import Connection
from sqlalchemy.util import await_only

from stockade.core import JsonValue
from stockade.lab.claims.claim import BOTH, HOLDS, Claim, Measured, Tools
from stockade.lab.deadlock.rows import Rows, open_rows
from stockade.store import Database

CALLERS, POOL, GATEWAY_S, WAIT_S, ROWS = 12, 4, 0.03, 20.0, (1, 2, 3)


@dataclass(slots=True)
class _Meter:
    """What the calls of one scope held."""

    held_s: list[float] = field(default_factory=list)
    connected_s: float = 0.0  # of all calls together
    connections: int = 0
    in_gateway: int = 0  # connections held while their caller asked the gateway, at most
    inside: int = 0
    asking: int = 0

    def lock(self, connection: Connection, rows: Rows, ids: tuple[int, ...], *, gateway: bool) -> None:
        """Lock these rows, ask the gateway if it belongs inside, and write."""
        begin = time.monotonic()
        self.inside += 1
        self.connections = max(self.connections, self.inside)
        try:
            start = 0.0
            for id_ in ids:
                connection.exec_driver_sql(rows.lock(id_)).all()
                start = start or time.monotonic()
            if gateway:
                self.asking += 1
                self.in_gateway = max(self.in_gateway, self.asking)
                await_only(asyncio.sleep(GATEWAY_S))
                self.asking -= 1
            for id_ in ids:
                connection.exec_driver_sql(rows.change(id_))
            self.held_s.append(time.monotonic() - start)
        finally:
            self.inside -= 1
            self.connected_s += time.monotonic() - begin


async def run(tools: Tools) -> Measured:
    """Play all calls under each scope."""
    target = tools.target
    database = await Database.open(target.url, pool_size=POOL, wait_s=WAIT_S)
    lines, figures, held = list[str](), dict[str, JsonValue](), dict[str, float]()
    try:
        async with open_rows(target.url, target.name, len(ROWS)) as rows:
            for scope in ("row", "order", "call"):
                meter = _Meter()
                start = time.monotonic()
                await asyncio.gather(*(_call(database, rows, meter, scope)() for _ in range(CALLERS)))
                seconds = time.monotonic() - start
                connected_ms = meter.connected_s / CALLERS * 1000
                held[scope] = statistics.median(meter.held_s) * 1000
                lines.append(
                    f"a lock for each {scope}: rows held {held[scope]:.1f} ms (median), a connection {connected_ms:.1f}"
                    f" ms for each call, {meter.in_gateway} held during the gateway's {GATEWAY_S * 1000:.0f} ms,"
                    f" {CALLERS} calls in {seconds * 1000:.0f} ms"
                )
                figures[scope] = {
                    "held_ms": round(held[scope], 2),
                    "connected_ms_per_call": round(connected_ms, 2),
                    "connections": meter.connections,
                    "in_gateway": meter.in_gateway,
                    "all_ms": round(seconds * 1000, 1),
                }
    finally:
        await database.close()
    expected = held["call"] >= GATEWAY_S * 1000 and held["row"] < held["call"] and held["order"] < held["call"]
    why = "a wider scope holds rows and connections longer; locks for each row alone do not make an order one whole"
    return Measured(tuple(lines), HOLDS, why, expected, figures)


def _call(database: Database, rows: Rows, meter: _Meter, scope: str) -> Callable[[], Awaitable[None]]:
    async def transaction(ids: tuple[int, ...], *, gateway: bool = False) -> None:
        deadline = time.monotonic() + WAIT_S
        await database.transaction(lambda c: meter.lock(c, rows, ids, gateway=gateway), deadline=deadline)

    async def call() -> None:
        if scope == "row":
            for id_ in ROWS:
                await transaction((id_,))
        elif scope == "order":
            await transaction(ROWS)
        else:
            await transaction(ROWS, gateway=True)
            return
        await asyncio.sleep(GATEWAY_S)

    return call


CLAIM = Claim(
    "hold-time",
    "The scope of a lock must be right: a wait for a lock holds a database connection.",
    BOTH,
    run,
    databases=("postgres", "mariadb", "mysql"),
)

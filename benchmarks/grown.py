"""Orders in large tables, with idempotency keys that begin with their time and with random ones (docs/adr/0012).

    python -m benchmarks.grown                      on a million orders: three to four minutes
    python -m benchmarks.grown --orders 100000 --callers 128

Every index of request ids has a new entry for each order: all at its end, or anywhere. After a checkpoint the server
logs the whole page at its first change. Long after the checkpoint nearly all pages were changed already, by the first
round, which is not counted. Neighbour: `orders` measures on emptied tables.
"""

import argparse
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from random import getrandbits

import uvloop
from sqlalchemy import text

from benchmarks import report
from benchmarks.harness import Loop, Opened, Pace, Sample, calm_collector, take_turns
from benchmarks.orders import MANY
from benchmarks.ours import strategy_on
from benchmarks.report import Ratio
from benchmarks.target import BALANCE, HOT, PRICE, PRODUCT, BenchmarkDatabase, Buy, Sums, logged, open_target
from stockade.shop.model.constants import ORDER_PLACED

TIMED, UNTIMED = "keys with a time", "keys without"
ID, USER = "md5('earlier' || n)", "'user-' || lpad((n % {users})::text, 6, '0')"
LEDGER = "ledger (kind, row_id, request_id, version, delta, held, amount_after, held_after, note, ref, at_ms)"
BODY = "decode(repeat('61', 200), 'hex')"  # as long as an outcome, or an event's body
EARLIER = (
    ("requests (id, fingerprint, outcome, created_ms)", f"{ID}, {ID}, {BODY}, n"),
    (
        "orders (id, user_id, status, total, pay, reserved_until_ms, payment_id, reason, created_ms, version, stamp)",
        f"{ID}, {USER}, 'PAID', {PRICE}, 'POINTS', 0, {ID}, '', n, 1, n",
    ),
    (
        "order_lines (order_id, line, sku_id, product_id, quantity, price)",
        f"{ID}, 1, '{HOT}', '{PRODUCT}', 1, {PRICE}",
    ),
    (
        "payments (id, order_id, user_id, status, method, amount, created_ms, version, stamp)",
        f"{ID}, {ID}, {USER}, 'APPROVED', 'POINTS', {PRICE}, n, 1, n",
    ),
    (LEDGER, f"'stock', '{HOT}', {ID}, n, -1, 0, n, 0, 'DEDUCT', {ID}, n"),
    (LEDGER, f"'points', {USER}, {ID}, n, -{PRICE}, 0, {BALANCE}, 0, 'USE', {ID}, n"),
    (
        "outbox (request_id, seq, kind, key, body, created_ms, part, state)",
        f"{ID}, 0, '{ORDER_PLACED}', 'stock:{HOT}', {BODY}, n, n % 16, 'CONFIRMED'",
    ),
)


@dataclass(frozen=True, slots=True)
class FilledDatabase(BenchmarkDatabase):
    """A database whose tables keep their rows between the rounds.

    Attributes:
        checkpoint: make one before each run.
    """

    checkpoint: bool = False

    async def reset(self) -> Sums:
        """The rows that exist now."""
        if self.checkpoint:
            await self.database.read(lambda connection: connection.execute(text("CHECKPOINT")), timeout_s=60)
        return await self.sums()


@dataclass(frozen=True, slots=True)
class Keyed:
    """The sequencer, with request ids of one kind."""

    name: str
    callers: int

    @asynccontextmanager
    async def open(self, target: BenchmarkDatabase) -> AsyncIterator[Opened]:
        """Start it."""
        async with strategy_on(target, "sequencer") as (place, _):

            async def untimed(buy: Buy) -> bool:
                return await place(buy._replace(request_id=f"{getrandbits(128):032x}"))

            yield Logged(Loop(self.name, self.callers, place if self.name == TIMED else untimed))


@dataclass(frozen=True, slots=True)
class Logged:
    """A loop that also measures the write-ahead log of each order."""

    loop: Loop

    async def run(self, target: BenchmarkDatabase, pace: Pace) -> Sample:
        """See `Loop.run`."""
        before = await target.database.read(logged)
        sample = await self.loop.run(target, pace)
        kilobytes = (await target.database.read(logged) - before) / sample.answered / 1e3
        return replace(sample, notes={"logged_kb": kilobytes})


def filling(orders: int, users: int) -> list[str]:
    """The statements that write so many orders, as if they had been placed."""
    return [
        f"INSERT INTO {into} SELECT {values.format(users=users)} FROM generate_series(1, {orders}) AS n"
        for into, values in EARLIER
    ]


async def run(orders: int, users: int, callers: int, pace: Pace) -> None:
    """Fill, measure both kinds of keys right after a checkpoint and long after it, print."""
    began_s = time.monotonic()
    async with open_target(users, earlier=filling(orders, users)) as target:
        print(f"{orders:,} orders are there after {time.monotonic() - began_s:.0f} s", flush=True)
        calm_collector()
        for checkpoint in (False, True):
            print(f"\n## {'right after a checkpoint' if checkpoint else 'long after a checkpoint'}\n", flush=True)
            grown = FilledDatabase(target.server, target.database, users, checkpoint=checkpoint)
            arms = [Keyed(TIMED, callers), Keyed(UNTIMED, callers)]
            own = [sample async for sample in take_turns(grown, arms, pace)]
            measured = Ratio(TIMED, UNTIMED, 1, 1).of(own)
            assert measured is not None
            print(f"{report.table(own)}\n\n{report.ratio_table([measured])}\n", flush=True)
            for name in (TIMED, UNTIMED):
                each = sorted(sample.notes["logged_kb"] for sample in own if sample.arm == name)
                print(f"{name}: {each[len(each) // 2]:.1f} kB logged for an order ({each[0]:.1f}-{each[-1]:.1f})")


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.grown", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--orders", type=int, default=1_000_000, help="there already (default 1000000)")
    parser.add_argument("--users", type=int, default=200_000, help="points accounts (default 200000)")
    parser.add_argument("--callers", type=int, default=MANY, help=f"at the same time (default {MANY})")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (default 5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="measured in each run (default 2)")
    options = parser.parse_args()
    pace = Pace(options.rounds, measured_s=options.seconds)
    uvloop.run(run(options.orders, options.users, options.callers, pace))


if __name__ == "__main__":
    main()

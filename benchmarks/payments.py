"""Payments through a gateway that takes 50 ms, with a pool of four connections: ours against a row lock over the call.

    python -m benchmarks.payments                     all of it, on a private PostgreSQL
    python -m benchmarks.payments --only orders       one part: orders, account, points, flight
    python -m benchmarks.payments --rounds 2 --seconds 2

The gateway is the one to test with, in a process of its own, and its count is compared after every run. Neighbours:
`stockade.lab.schemes` has the row lock over the call, `stockade.lab.execution.payer` pays, `ours` places orders.
"""

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, ClassVar, NamedTuple

import uvloop
from sqlalchemy import Connection, func, select, text, update

from benchmarks.harness import Pace, calm_collector, percentile
from benchmarks.ours import POOL, WAIT_S
from benchmarks.target import BALANCE, FINGERPRINT, HOT, BenchmarkDatabase, open_target, user_id
from stockade.core import Accepted, Command, Guard, Outcome
from stockade.core.clock import now_ms
from stockade.devservers import Server, Servers
from stockade.devservers.gateway import GatewayClient
from stockade.lab.execution.metered_database import MeteredDatabase
from stockade.lab.execution.payer import Payer, open_payer
from stockade.lab.model.burst import RepeatNames
from stockade.lab.model.payment import PaymentConfig
from stockade.lab.model.taps import CURRENCY, PRICE, Checkout
from stockade.lab.schemes import SCHEMES, Scheme
from stockade.lab.schemes.lock_over_call import LockOverCall, wait_for
from stockade.lab.schemes.scheme import definite
from stockade.service import Service, open_service
from stockade.service.ids import new_request_id
from stockade.shop.application import APPLICATION
from stockade.shop.commands import ClaimPayment, OpenCharge, OrderLine, PlaceOrder
from stockade.shop.model import constants
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.shop.model.tables import payments, point_accounts
from stockade.store import Database, SqlStore
from stockade.store.engine.pools import Pool
from stockade.strategies.options import Options

LATENCY_S = 0.05
LOCK = LockOverCall.name
CALLERS = {"ours": 128, LOCK: 32, "account-lock": 32}
MOST_PER_S = 1_000  # payments that are made ready for each second
ORDERS_AT_ONCE = 32  # callers that pay orders with points
OFFERED_S = 80.0  # payments a second beside them: the most that four connections can serve, held for 50 ms each
IN_FLIGHT = 1_000
FLIGHT_S = 20.0  # how long the gateway takes while they are counted
BATCH = 200
USERS = 10_000
PAYER = user_id(0)  # of all charges to one account
BUSY = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE backend_type = 'client backend' AND state <> 'idle' AND pid <> pg_backend_pid()"
)


class AccountLockOverCall(Scheme):
    """Lock the account, ask, add the points, commit: as the report charges points."""

    name: ClassVar[str] = "account-lock"
    strategy: ClassVar[str] = "pessimistic"

    async def pay(self, claim: ClaimPayment) -> Outcome:
        """See `Scheme.pay`."""
        loop = asyncio.get_running_loop()
        account = point_accounts.c.id == claim.user_id

        def body(connection: Connection) -> Outcome:
            balance = connection.execute(select(point_accounts.c.balance).where(account).with_for_update()).scalar_one()
            outcome = definite(wait_for(self._ask(claim, keyed=False), loop), claim)
            changed = {"balance": balance + claim.amount, "version": point_accounts.c.version + 1}
            connection.execute(update(point_accounts).where(account).values(changed))
            return outcome

        return await self._write(body)


class Rate(NamedTuple):
    """One run: what was done in a second of the measured time, and the latency in milliseconds."""

    per_s: float
    p50_ms: float
    p99_ms: float


Make = Callable[[int], tuple[list[Command], list[ClaimPayment]]]


class Supply:
    """Orders or charges that wait for their payment; made in advance, so that making them is not measured."""

    def __init__(self, target: BenchmarkDatabase, make: Make) -> None:
        self._store, self._make = SqlStore(target.database, SHOP_RESOURCES), make
        self._ready: list[ClaimPayment] = []

    async def fill(self, count: int) -> None:
        """Have at least so many ready."""
        commands, claims = self._make(max(0, count - len(self._ready)))
        for at in range(0, len(commands), BATCH):
            deadline = time.monotonic() + WAIT_S
            for outcome in await self._store.transact(commands[at : at + BATCH], Guard.ROW, deadline=deadline):
                assert isinstance(outcome, Accepted), outcome
        self._ready += claims

    def next(self) -> ClaimPayment:
        """One more."""
        return self._ready.pop()


def orders(count: int) -> tuple[list[Command], list[ClaimPayment]]:
    """Reserved orders, each of a user of its own, of a hundred products."""
    if not count:
        return [], []
    checkout = Checkout.of(RepeatNames(f"{time.time_ns():x}", 0, count, 0, now_ms()), count)
    return list(checkout.setup), [checkout.tap(order, "only") for order in checkout.orders]


def charges(count: int) -> tuple[list[Command], list[ClaimPayment]]:
    """Charges of points, all to one account."""
    opened, claims, subject = list[Command](), list[ClaimPayment](), constants.CHARGE_SUBJECT
    for _ in range(count):
        at_ms = now_ms()
        charge, payment = new_request_id(at_ms), new_request_id(at_ms)
        opened.append(OpenCharge(charge, FINGERPRINT, at_ms, PAYER, PRICE, CURRENCY))
        page = (f"page-{payment}", PRICE, CURRENCY, "toss", at_ms)
        claims.append(ClaimPayment(payment, FINGERPRINT, at_ms, payment, subject, charge, PAYER, *page))
    return opened, claims


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to pay, open.

    Attributes:
        payer: pays.
        service: of the same shop, for orders that are paid with points.
        database: its pool of four.
    """

    payer: Payer
    service: Service
    database: Database


@asynccontextmanager
async def open_arm(target: BenchmarkDatabase, gateway_url: str, scheme: str = "") -> AsyncIterator[Arm]:
    """An open shop with a pool of four; `scheme` empty: it pays as the shop does, under the sequencer."""
    database = await MeteredDatabase.open(target.url, pool_size=POOL, wait_s=WAIT_S, tables=APPLICATION.tables)
    strategy = SCHEMES[scheme].strategy if scheme else "sequencer"
    try:
        async with (
            open_service(APPLICATION, database, strategy, Options(wait_s=WAIT_S)) as service,
            open_payer(service, PaymentConfig(gateway_url, scheme), WAIT_S, None) as payer,
        ):
            yield Arm(payer, service, database)
    finally:
        await database.close()


async def repeat(work: Callable[[], Awaitable[Outcome]], callers: int, pace: Pace) -> Rate:
    """Callers do one piece of work after the other; what ends inside the measured time counts."""
    took_s = list[float]()
    from_s = time.perf_counter() + pace.warm_s
    until_s = from_s + pace.measured_s

    async def call() -> None:
        while (at_s := time.perf_counter()) < until_s:
            outcome = await work()
            assert isinstance(outcome, Accepted), outcome
            assert outcome.data["status"] in (constants.APPROVED, constants.PAID), outcome
            if from_s <= (now_s := time.perf_counter()) < until_s:
                took_s.append(now_s - at_s)

    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(call())
    took_s.sort()
    return Rate(len(took_s) / pace.measured_s, percentile(took_s, 0.5) * 1e3, percentile(took_s, 0.99) * 1e3)


async def compare(target: BenchmarkDatabase, gateway: GatewayClient) -> None:
    """The gateway's count and our tables say the same.

    Raises:
        AssertionError: a charge is not recorded, or the other way round.
    """

    def recorded(connection: Connection) -> int:
        paid = connection.execute(select(func.count()).where(payments.c.method == constants.PG)).scalar_one()
        spent_by_payer = payments.c.user_id == PAYER, payments.c.method == constants.POINTS
        spent = connection.execute(select(func.count()).where(*spent_by_payer)).scalar_one()
        account = select(point_accounts.c.balance).where(point_accounts.c.id == PAYER)
        return int(paid) + int(spent) + (int(connection.execute(account).scalar_one()) - BALANCE) // PRICE

    ours = await target.database.read(recorded, timeout_s=WAIT_S)
    counted = (await asyncio.to_thread(gateway.count)).total // PRICE
    assert ours == counted, f"recorded are {ours} payments, the gateway charged {counted}"


async def measure_ratio(
    target: BenchmarkDatabase, server: Server, make: Make, over: str, pace: Pace, goals: tuple[int, int]
) -> None:
    """Ours and one scheme in turns."""
    gateway, found = GatewayClient(server.url), dict[str, list[Rate]]()
    await asyncio.to_thread(gateway.behave, latency_s=LATENCY_S)
    async with open_arm(target, server.url) as ours, open_arm(target, server.url, over) as other:
        supply = Supply(target, make)
        for number in range(pace.rounds + 1):
            for name, arm in (("ours", ours), (over, other)):
                await supply.fill(MOST_PER_S * int(pace.warm_s + pace.measured_s + 1))
                rate = await repeat(lambda arm=arm: arm.payer.execute(supply.next()), CALLERS[name], pace)  # type: ignore[misc]
                await compare(target, gateway)
                if number:  # the first round does not count
                    found.setdefault(name, []).append(rate)
    for name, rates in found.items():
        shown = (spread([getattr(rate, each) for rate in rates]) for each in Rate._fields)
        print(f"| {make.__name__} | {name} | {' | '.join(shown)} |", flush=True)
    ratios = [one.per_s / two.per_s for one, two in zip(found["ours"], found[over], strict=True)]
    print(f"| {make.__name__} | ours / {over} | {spread(ratios)} | floor, goal {goals} |", flush=True)


async def measure_points(target: BenchmarkDatabase, server: Server, pace: Pace) -> None:
    """Orders that are paid with points: alone, and beside payments that come as fast as the row lock could serve."""
    gateway, found = GatewayClient(server.url), dict[str, list[float]]()
    await asyncio.to_thread(gateway.behave, latency_s=LATENCY_S)
    async with open_arm(target, server.url) as ours, open_arm(target, server.url, LOCK) as other:
        supply = Supply(target, orders)
        for number in range(pace.rounds + 1):
            for name, arm, offered_s in (
                ("alone", ours, 0.0),
                ("beside payments of ours", ours, OFFERED_S),
                (f"beside payments by {LOCK}", other, OFFERED_S),
            ):
                await supply.fill(int(OFFERED_S * (pace.warm_s + pace.measured_s + 2)))
                async with payments_beside(arm.payer, supply, offered_s):
                    rate = await repeat(lambda arm=arm: buy(arm.service, target), ORDERS_AT_ONCE, pace)  # type: ignore[misc]
                if number:
                    found.setdefault(name, []).append(rate.per_s)
        await compare(target, gateway)
    for name, rates in found.items():
        ratios = [one / alone for one, alone in zip(rates, found["alone"], strict=True)]
        print(f"| points orders/s {name} | {spread(rates)} | {spread(ratios, 2)} |", flush=True)


async def buy(service: Service, target: BenchmarkDatabase) -> Outcome:
    """One order of the hot product that is paid with points."""
    order = target.next_buy()
    lines = (OrderLine(HOT, 1),)
    return await service.execute(
        PlaceOrder(order.request_id, FINGERPRINT, order.now_ms, order.user_id, lines, constants.POINTS)
    )


@asynccontextmanager
async def payments_beside(payer: Payer, supply: Supply, per_s: float) -> AsyncIterator[None]:
    """Payments come at this rate, however long each takes; all that have begun are finished at the end."""
    async with asyncio.TaskGroup() as group:

        async def offer() -> None:
            while True:
                group.create_task(payer.execute(supply.next()))
                await asyncio.sleep(1 / per_s)

        offering = group.create_task(offer()) if per_s else None
        yield
        if offering is not None:
            offering.cancel()


async def measure_flight(target: BenchmarkDatabase, server: Server) -> None:
    """A thousand payments wait for the gateway: how many connections are in use then, by both sides' count."""
    gateway = GatewayClient(server.url)
    await asyncio.to_thread(gateway.behave, latency_s=FLIGHT_S)
    before = (await asyncio.to_thread(gateway.count)).requests
    async with open_arm(target, server.url) as arm:
        supply = Supply(target, orders)
        await supply.fill(IN_FLIGHT)
        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(arm.payer.execute(supply.next()))
            asked, until_s = 0, time.monotonic() + FLIGHT_S
            while asked < IN_FLIGHT and time.monotonic() < until_s:
                await asyncio.sleep(0.05)
                asked = (await asyncio.to_thread(gateway.count)).requests - before
            backend = vars(arm.database._backend)  # noqa: SLF001 - the pools themselves are to say it
            in_pool = sum(in_use(each) for each in backend.values() if isinstance(each, Pool))
            busy = await target.database.read(lambda c: int(c.execute(text(BUSY)).scalar_one()), timeout_s=WAIT_S)
        await compare(target, gateway)
    held = arm.payer.take_meter().held
    print(f"| in flight {asked} | of the pool in use {in_pool} | busy sessions {busy} | held {held} |", flush=True)


def in_use(pool: Pool) -> int:
    """Connections of a pool that are in use now."""
    counted: Any = pool.engine.pool
    return int(counted.checkedout())


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median and range."""
    middle, least, most = (f"{each:,.{digits}f}" for each in (median(values), min(values), max(values)))
    return f"{middle} ({least} to {most})"


async def main() -> None:
    """Measure what the options name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("orders", "account", "points", "flight"), help="one part")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="measured in each run")
    given = parser.parse_args()
    calm_collector()
    SCHEMES[AccountLockOverCall.name] = AccountLockOverCall
    pace = Pace(rounds=given.rounds, measured_s=given.seconds)
    with Servers() as servers:
        server = servers.gateway(once_per_payment_key=False)
        async with open_target(USERS) as target:
            if given.only in (None, "orders"):
                await measure_ratio(target, server, orders, LOCK, pace, (8, 15))
            if given.only in (None, "account"):
                await measure_ratio(target, server, charges, AccountLockOverCall.name, pace, (20, 20))
            if given.only in (None, "points"):
                await measure_points(target, server, pace)
            if given.only in (None, "flight"):
                await measure_flight(target, server)


if __name__ == "__main__":
    uvloop.run(main())

"""A shop that is paid through the test gateway, a clock that tests move, and the comparison of the two books."""

from contextlib import asynccontextmanager

from sqlalchemy import select

from stockade.core import Accepted
from stockade.core.clock import now_ms
from stockade.gateways.http_client import Limits
from stockade.gateways.registry import GatewayKeys, create
from stockade.service.ids import new_request_id
from stockade.shop.audit import audit
from stockade.shop.bootstrap import open_shop
from stockade.shop.commands import CancelOrder, ClaimPayment, CreateProduct, NewSku, OpenCharge, OrderLine, PlaceOrder
from stockade.shop.config.settings import Settings
from stockade.shop.migrations import SCHEMA
from stockade.shop.model import constants
from stockade.shop.model.tables import orders, payment_attempts, point_charges, refunds
from stockade.shop.payments import Payments, Reconciler

PRICE = 1_000
CALL_S = 10.0  # a crowded machine takes seconds for a call; a test of a slow gateway sets a limit of its own
CHARGED = (constants.APPROVED, constants.CANCELLED, constants.UNFULFILLABLE)
FAR_MS = 3_600_000


class Clock:
    """The wall clock, moved by `ahead_ms`."""

    def __init__(self):
        self.ahead_ms = 0

    def __call__(self):
        return now_ms() + self.ahead_ms


class Checkout:
    """Words for what buyers, reconcilers and the judge do.

    Attributes:
        payments: of this process; `process()` makes those of another one over the same database.
        judge: the control of the test gateway.
    """

    def __init__(self, shop, judge, url, dialect, checkpoint=None):
        self.shop, self.judge, self._url, self._dialect = shop, judge, url, dialect
        self.clock, self._made = Clock(), []
        self.payments = self.process(checkpoint)

    def process(self, checkpoint=None, *, clock=None, execute=None, **capabilities):
        """The payments of a process: its own clock, its own way to the database, other capabilities of the gateway."""
        limits = Limits(connections=50, connect_s=CALL_S, reply_s=CALL_S, call_s=CALL_S)
        gateway = create(self._dialect, GatewayKeys("sk_test", ("whsec_test",), self._url, limits))
        if capabilities:
            values = {name: getattr(gateway.capabilities, name) for name in gateway.capabilities.__slots__}
            gateway.capabilities = type(gateway.capabilities)(**{**values, **capabilities})
        made = Payments(
            gateway,
            execute or self.shop.execute,
            self.shop.read,
            CALL_S,
            clock_ms=clock or self.clock,
            checkpoint=checkpoint,
        )
        self._made.append(made)
        return made

    async def close(self):
        """End all processes."""
        for each in self._made:
            await each.close(5.0)

    async def stocked(self, stock=1_000):
        """One SKU, `s`."""
        news = (NewSku(PRICE, stock, "s"),)
        await self.shop.execute(CreateProduct(self.new_id(), "f", now_ms(), "Lamp", "light", news, "p"))
        return self

    def new_id(self):
        """The id of a new request."""
        return new_request_id(now_ms())

    async def order(self, user="u", **options):
        """A reserved order of one unit; its id."""
        placed = PlaceOrder(self.new_id(), "f", self.clock(), user, (OrderLine("s", 1),), constants.LATER, **options)
        return (await self.shop.execute(placed)).data["order_id"]

    async def charge(self, user="u", amount=PRICE):
        """A charge that is ready; its id."""
        return (await self.shop.execute(OpenCharge(self.new_id(), "f", now_ms(), user, amount, "KRW"))).data[
            "charge_id"
        ]

    def claim(self, subject_id, key="pay", *, request="", amount=PRICE, subject="order", user="u"):
        """The buyer's request to pay; the payment key is made one of this order."""
        id_, at_ms = request or self.new_id(), self.clock()
        until_ms = at_ms + self.payments.lease_ms
        key = f"{key}-{subject_id}"
        command = (id_, "f", at_ms, id_, subject, subject_id, user, key, amount, "KRW", self._dialect, until_ms)
        return ClaimPayment(*command)

    async def pay(self, subject_id, key="pay", *, payments=None, **options):
        """Pay; the outcome."""
        return await (payments or self.payments).execute(self.claim(subject_id, key, **options))

    async def cancel(self, order_id, *, payments=None):
        """Cancel an order; the outcome."""
        cancelled = CancelOrder(self.new_id(), "f", self.clock(), order_id, "u", "too late")
        return await (payments or self.payments).execute(cancelled)

    async def reconcile(self, *, rounds=3, payments=None):
        """Some rounds, each when everything is due; what they did in sum."""
        payments, total = payments or self.payments, {}
        for _ in range(rounds):
            self.clock.ahead_ms += FAR_MS // 60
            for name, number in (await Reconciler(payments).once()).items():
                total[name] = total.get(name, 0) + number
        return total

    async def rows(self, table, **where):
        """The rows of a table."""
        wanted = select(table).where(*(table.c[name] == value for name, value in where.items()))
        return await self.shop.read(lambda connection: connection.execute(wanted.order_by(table.c.id)).all())

    async def status(self, order_id):
        """Of an order."""
        return (await self.rows(orders, id=order_id))[0].status

    async def attempts(self, subject_id):
        """The states of all attempts to pay an order or charge, in their order."""
        found = await self.rows(payment_attempts, subject_id=subject_id)
        return [each.status for each in sorted(found, key=lambda each: each.reference)]

    async def refunds(self, subject_id):
        """The states of all refunds of an order or charge."""
        ids = [each.id for each in await self.rows(payment_attempts, subject_id=subject_id)]
        return [each.status for each in await self.rows(refunds) if each.payment_id in ids]

    def approved(self, subject_id):
        """The amounts that the gateway charged for an order or charge, one for each approval."""
        return _of(self.judge.count().approved, subject_id)

    def refunded(self, subject_id):
        """The amounts that the gateway gave back for an order or charge."""
        return _of(self.judge.count().refunded, subject_id)

    async def unequal(self):
        """References whose charges or refunds differ between the gateway and the database, and what the audit finds."""
        count, given_back = self.judge.count(), {}
        subjects = {each.id for table in (orders, point_charges) for each in await self.rows(table)}
        attempts = await self.rows(payment_attempts)
        unknown = set(count.approved) - {each.reference for each in attempts}
        for each in await self.rows(refunds):
            if each.status == constants.REFUNDED:
                given_back[each.payment_id] = given_back.get(each.payment_id, 0) + each.amount
        found = [(each, "not recorded") for each in unknown if each.partition("-")[0] in subjects]
        for each in attempts:
            ours = (each.charged if each.status in CHARGED else 0, given_back.get(each.id, 0))
            theirs = (sum(count.approved.get(each.reference, ())), sum(count.refunded.get(each.reference, ())))
            once = len(count.approved.get(each.reference, ())) <= 1
            found += [(each.reference, each.status, ours, theirs)] * (ours != theirs or not once)
        return found + list(await self.shop.read(audit))


def _of(amounts, subject_id):
    return [each for reference, found in amounts.items() if reference.startswith(f"{subject_id}-") for each in found]


@asynccontextmanager
async def open_checkout(url, judge, gateway_url, *, dialect="toss", new=True, checkpoint=None, **chosen):
    """A shop over a database, and the payments of this process; a `new` one is given its tables and 1,000 units."""
    strategies = dict.fromkeys(("strategy_stock", "strategy_points", "strategy_payment"), "pessimistic")
    settings = Settings(database=url, **{**strategies, **chosen})
    async with open_shop(settings, jobs=False, before=create_schema if new else None, checkpoint=checkpoint) as shop:
        checkout = Checkout(shop, judge, gateway_url, dialect, checkpoint)
        try:
            yield await checkout.stocked() if new else checkout
        finally:
            await checkout.close()


async def create_schema(database):
    """The tables of a shop."""
    await SCHEMA.create_all(database)


def status_of(outcome):
    """The status of a payment in an outcome; a refusal's code."""
    return outcome.data["status"] if isinstance(outcome, Accepted) else outcome.code

"""What all endpoints of one process share. Made once by `app`; the server refreshes its metrics."""

from dataclasses import dataclass

from stockade.core import Command, Outcome, Rejected
from stockade.core.clock import now_ms
from stockade.shop.commands import ClaimPayment
from stockade.shop.config.settings import Settings
from stockade.shop.http.requests.idempotency import InFlightRequests
from stockade.shop.http.responses.problems import ProblemError
from stockade.shop.http.routing.concurrency_limit import ConcurrencyLimit
from stockade.shop.model.constants import PAYMENT_NOT_FOUND
from stockade.shop.operations.backlog import BacklogMetrics
from stockade.shop.operations.metrics import Metrics
from stockade.shop.payments.flow import as_it_is
from stockade.shop.shop import Shop
from stockade.shop.tokens import Tokens, tokens_of
from stockade.strategies.in_process import InProcess
from stockade.strategies.lock_based import LockBased


@dataclass(frozen=True, slots=True)
class AppState:
    """The shop, and what HTTP adds to it.

    Attributes:
        shop: open from the application's start to its end.
        settings: those in force.
        tokens: verifies bearer tokens, and signs the Locations of queued orders.
        concurrency: bounds the requests in flight.
        duplicates: joins requests with one Idempotency-Key that are in flight at the same time.
        metrics: counts requests and outcomes.
        backlog: how far relays and workers are behind, for the metrics.
    """

    shop: Shop
    settings: Settings
    tokens: Tokens
    concurrency: ConcurrencyLimit
    duplicates: InFlightRequests
    metrics: Metrics
    backlog: BacklogMetrics

    async def execute(self, command: Command) -> Outcome:
        """Carry out a command, and what it asks of the payment gateway; raises as `Shop.execute`."""
        shop = self.shop
        if shop.payments is not None:
            return await shop.payments.execute(command)
        if not isinstance(command, ClaimPayment):
            return await shop.execute(command)
        known = await as_it_is(shop.read, command)  # another process, or this one before, may have asked a gateway
        if isinstance(known, Rejected) and known.code == PAYMENT_NOT_FOUND:
            raise ProblemError("GATEWAY_NOT_FOUND", "the service has no payment gateway (setting gateway)")
        return known

    async def submit(self, command: Command) -> bool:
        """As `Shop.submit`. A claim is never only queued: whoever claims asks the gateway, and has to wait for it."""
        return not isinstance(command, ClaimPayment) and await self.shop.submit(command)

    def refresh_metrics(self) -> None:
        """Bring the metrics up to date that are not counted as they happen."""
        self.metrics.process.refresh()
        self.metrics.store(self.shop.store.stats)
        self.metrics.waiting("at_work", self.concurrency.in_flight)
        self.metrics.waiting("strategy", self.shop.queued)
        self.metrics.waiting("connection", self.shop.database.waiting)
        if self.shop.payments is not None:
            self.metrics.waiting("gateway", self.shop.payments.in_flight)
            self.metrics.payments(self.shop.payments.answers)


def make_app_state(shop: Shop) -> AppState:
    """The state of an application over an open shop.

    Raises:
        BadSetting: as `tokens_of`.
    """
    settings, metrics = shop.settings, Metrics()
    tokens = tokens_of(settings)
    tokens.begin()
    shop.count = metrics.command
    for strategy in set(shop.strategies.values()):
        if isinstance(strategy, LockBased | InProcess) and strategy.locks is not None:
            metrics.locks.observe(strategy.locks, strategy.name)
    return AppState(
        shop,
        settings,
        tokens,
        ConcurrencyLimit(settings.max_in_flight),
        InFlightRequests(settings.duplicate_wait_s),
        metrics,
        BacklogMetrics(settings, shop.database, metrics, now_ms),
    )

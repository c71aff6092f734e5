"""What every endpoint of one process shares. Made once by `app`; neighbours: `endpoint` works with it."""

from dataclasses import dataclass

from stockade.shop.bootstrap import Shop, now_ms
from stockade.shop.config.settings import Settings
from stockade.shop.http.requests.idempotency import Duplicates
from stockade.shop.http.routing.concurrency_limit import Gate
from stockade.shop.operations.backlog import BacklogMetrics
from stockade.shop.operations.metrics import Metrics
from stockade.shop.tokens import Tokens, token_secret


@dataclass(frozen=True, slots=True)
class Desk:
    """The shop and the process-wide parts of its HTTP face.

    Attributes:
        shop: open from the application's start to its end.
        settings: those in force.
        tokens: says who a bearer token speaks for.
        gate: bounds the requests at work.
        duplicates: requests at work by request id.
        metrics: where requests and outcomes are counted.
        lags: how far behind relays and workers are, for the metrics.
    """

    shop: Shop
    settings: Settings
    tokens: Tokens
    gate: Gate
    duplicates: Duplicates
    metrics: Metrics
    lags: BacklogMetrics

    def refresh(self) -> None:
        """Bring the metrics up to date that are not counted as they happen."""
        self.metrics.store(self.shop.store.stats)
        self.metrics.waiting("at_work", self.gate.at_work)
        self.metrics.waiting("strategy", self.shop.queued)
        self.metrics.waiting("connection", self.shop.database.waiting)


def make_desk(shop: Shop) -> Desk:
    """The desk of an open shop.

    Raises:
        BadSetting: the token secret cannot be had.
    """
    settings, metrics = shop.settings, Metrics()
    desk = Desk(
        shop,
        settings,
        Tokens(token_secret(settings)),
        Gate(settings.max_in_flight),
        Duplicates(settings.duplicate_wait_s),
        metrics,
        BacklogMetrics(settings, shop.database, metrics, now_ms),
    )
    shop.count = desk.metrics.command
    return desk

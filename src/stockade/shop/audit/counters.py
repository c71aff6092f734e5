"""Rules about stock and points, and about every row that the ledger follows. `service.audit.counters` has the SQL."""

from stockade.service.audit import counters
from stockade.service.audit.counters import Followed
from stockade.shop.model.resources import ATTEMPT, CHARGE, ORDER, PAYMENT, POINTS, PRODUCT, REFUND, STOCK

COUNTED = (STOCK, POINTS)
FOLLOWED = (
    Followed(STOCK, 1),
    Followed(POINTS, 1),
    Followed(ORDER, 2),
    Followed(PAYMENT, 2),
    Followed(PRODUCT, 2),
    Followed(CHARGE, 2),
    Followed(ATTEMPT, 2),
    Followed(REFUND, 2),
)

oversold = counters.more_out_than_in("oversold", STOCK)
overspent = counters.more_out_than_in("overspent", POINTS)
ledger_sum = counters.ledger_sum(COUNTED)
repeated_version = counters.repeated_version()
version_gap = counters.version_gap(FOLLOWED)
ledger_chain = counters.ledger_chain(COUNTED)
below_zero = counters.below_zero(COUNTED)
row_missing = counters.row_missing(FOLLOWED)

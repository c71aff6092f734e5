"""All rules of the audit in the order in which they are shown, and the screens that come first.

Neighbours: `audit` runs the screens and rules one after the other, `long_audit` some at the same time.
"""

from collections.abc import Iterable

from stockade.service.audit.rule_types import Rule
from stockade.shop.audit import counters, gateway_payments, orders, payments, records, sales
from stockade.shop.audit.screen import Screen
from stockade.shop.audit.screens.attempts import BY_ATTEMPT
from stockade.shop.audit.screens.orders import BY_LINE, BY_PAYMENT
from stockade.shop.audit.screens.requests import BY_REQUEST, BY_STOCK_EVENT
from stockade.shop.audit.screens.rows import BY_ROW, BY_VERSION

# Beside running orders the screen of requests must come first: what it leaves out, the screens of lines and payments
# look at later, and everything that it has seen is there by then.
SCREENS: tuple[Screen, ...] = (BY_REQUEST, BY_STOCK_EVENT, BY_ROW, BY_VERSION, BY_LINE, BY_PAYMENT, BY_ATTEMPT)
# No other rule reads what the first two read. The others read what is open, or one small table.
UNSCREENED: tuple[Rule, ...] = (
    orders.order_total,
    sales.sales_sum,
    orders.cancelled_units,
    gateway_payments.points_of_charge,
    gateway_payments.refund_sum,
    gateway_payments.refund_owed,
    gateway_payments.paying_attempt,
    gateway_payments.payment_overdue,
)

# What a shop owner would notice first comes first.
RULES: tuple[Rule, ...] = (
    counters.oversold,
    counters.overspent,
    counters.below_zero,
    counters.ledger_sum,
    counters.repeated_version,
    counters.version_gap,
    counters.ledger_chain,
    counters.row_missing,
    orders.order_total,
    orders.cancelled_units,
    orders.order_status,
    orders.illegal_step,
    orders.paid_deducted_once,
    orders.reserved_held_once,
    orders.restored_once,
    orders.stray_movement,
    payments.payment_of_order,
    payments.payment_without_order,
    payments.points_of_payment,
    payments.stray_points,
    gateway_payments.approved_once,
    gateway_payments.approval_recorded,
    gateway_payments.attempt_of_nothing,
    gateway_payments.points_of_charge,
    gateway_payments.refund_sum,
    gateway_payments.refund_owed,
    gateway_payments.paying_attempt,
    gateway_payments.payment_overdue,
    records.request_missing,
    records.refused_but_done,
    records.event_once,
    records.event_without_cause,
    records.stock_events,
    sales.sales_sum,
)


def rules_to_run(suspects: Iterable[set[Rule]]) -> list[Rule]:
    """The rules that the screens suspect, and those that no screen covers, in the order in which they are shown."""
    wanted = set(UNSCREENED).union(*suspects)
    return [rule for rule in RULES if rule in wanted]

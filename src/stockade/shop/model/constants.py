"""Constants of the shop as they are stored and shown: states, codes of rejections, ledger notes, event kinds.

Commands write them; queries and the audit read them.
"""

from typing import Final

# States of an order. PENDING is never stored: such an order is in a queue, or nothing but its request row.
PENDING: Final = "PENDING"
RESERVED: Final = "RESERVED"
PAYING: Final = "PAYING"  # reserved, and a gateway is asked to approve its payment
PAID: Final = "PAID"
CANCELLED: Final = "CANCELLED"
EXPIRED: Final = "EXPIRED"
REJECTED: Final = "REJECTED"
# States of a payment. One with points is APPROVED at once, and CANCELLED with its order.
APPROVED: Final = "APPROVED"
# … of a charge by a gateway, beside those of an attempt …
READY: Final = "READY"  # nothing was asked yet, or what was asked was declined
# … and of an attempt to have a gateway approve; CANCELLED with its order.
APPROVING: Final = "APPROVING"  # claimed: the gateway is, or is about to be, asked
UNKNOWN: Final = "UNKNOWN"  # the gateway gave no definite answer
DECLINED: Final = "DECLINED"
UNFULFILLABLE: Final = "UNFULFILLABLE"  # the buyer was charged for what can no longer be delivered: it is refunded
# States of a refund: READY, UNKNOWN, and …
REFUNDED: Final = "REFUNDED"
REFUSED: Final = "REFUSED"  # the gateway will not, or it failed there afterwards: a person has to decide
REPLACED: Final = "REPLACED"  # it was refused, and another refund of the same amount is owed in its place
NEVER: Final = 0  # of `resolve_at_ms`: no reconciler acts
OPEN_ATTEMPT: Final = (APPROVING, UNKNOWN)  # whether the buyer was charged is not known
OPEN_REFUND: Final = (READY, UNKNOWN)  # whether the money is back is not known

# What is paid by an attempt: the kinds of its rows. CHARGE has the same text, but is a note of ledger entries.
ORDER: Final = "order"
CHARGE_SUBJECT: Final = "charge"
# States of a product.
ACTIVE: Final = "ACTIVE"
HIDDEN: Final = "HIDDEN"

# How an order is paid, and the method of a payment.
POINTS: Final = "POINTS"
LATER: Final = "LATER"
PG: Final = "PG"  # through a payment gateway
INSTANT: Final = "INSTANT"  # a charge that asks no gateway

# Codes of rejections.
INVALID_REQUEST: Final = "INVALID_REQUEST"
SKU_NOT_FOUND: Final = "SKU_NOT_FOUND"
OUT_OF_STOCK: Final = "OUT_OF_STOCK"
INSUFFICIENT_POINTS: Final = "INSUFFICIENT_POINTS"
LIMIT_EXCEEDED: Final = "LIMIT_EXCEEDED"
ORDER_NOT_FOUND: Final = "ORDER_NOT_FOUND"
ALREADY_PAID: Final = "ALREADY_PAID"
RESERVATION_EXPIRED: Final = "RESERVATION_EXPIRED"
STATE_CONFLICT: Final = "STATE_CONFLICT"
PAYMENT_IN_PROGRESS: Final = "PAYMENT_IN_PROGRESS"
PAYMENT_NOT_FOUND: Final = "PAYMENT_NOT_FOUND"
CHARGE_NOT_FOUND: Final = "CHARGE_NOT_FOUND"
REFUND_NOT_FOUND: Final = "REFUND_NOT_FOUND"
AMOUNT_MISMATCH: Final = "AMOUNT_MISMATCH"
PRODUCT_CONFLICT: Final = "PRODUCT_CONFLICT"
PRODUCT_NOT_FOUND: Final = "PRODUCT_NOT_FOUND"
VERSION_CONFLICT: Final = "VERSION_CONFLICT"
NOT_ON_SALE: Final = "NOT_ON_SALE"
PRICE_CHANGED: Final = "PRICE_CHANGED"
# Refusals of orders for what the shop has, not because of wrong content: these have an event, and stand in the lists.
ORDER_REFUSALS: Final = (
    SKU_NOT_FOUND,
    OUT_OF_STOCK,
    INSUFFICIENT_POINTS,
    LIMIT_EXCEEDED,
    NOT_ON_SALE,
    PRICE_CHANGED,
)

# Notes of ledger entries on stock: (on hand, reserved) move by …
CREATE: Final = "create"  # (+n, 0)
ADJUST: Final = "adjust"  # (±n, 0)
EDIT: Final = "edit"  # (0, 0): the price changed, or the product was hidden or shown; of products too
RESERVE: Final = "reserve"  # (0, +q)
DEDUCT: Final = "deduct"  # (-q, 0), or (-q, -q) when it was reserved before
RELEASE: Final = "release"  # (0, -q)
RESTORE: Final = "restore"  # (+q, 0)
# … and on points. Entries on orders and payments carry the new state as their note.
CHARGE: Final = "charge"  # (+n, 0)
USE: Final = "use"  # (-n, 0)
REFUND: Final = "refund"  # (+n, 0)
# … and on orders and attempts whose state stays: single lines were cancelled.
CANCEL_LINES: Final = "cancel_lines"
# Before the note of an entry on stock or points whose order is in an archive: the audit looks for no order then.
ARCHIVED: Final = "archived "

# Kinds of events. `order.placed` carries the state: PAID when the points were taken in the same step.
ORDER_PLACED: Final = "order.placed"
ORDER_REJECTED: Final = "order.rejected"
ORDER_PAID: Final = "order.paid"
ORDER_CANCELLED: Final = "order.cancelled"
ORDER_LINES_CANCELLED: Final = "order.lines_cancelled"
ORDER_EXPIRED: Final = "order.expired"
POINTS_CHARGED: Final = "points.charged"
PAYMENT_DECLINED: Final = "payment.declined"
PAYMENT_UNFULFILLABLE: Final = "payment.unfulfillable"
PAYMENT_REFUNDED: Final = "payment.refunded"
PAYMENT_REFUND_REFUSED: Final = "payment.refund_refused"
STOCK_ADJUSTED: Final = "stock.adjusted"
STOCK_CHANGED: Final = "stock.changed"

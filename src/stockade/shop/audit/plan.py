"""Which steps an audit takes: first the screens, then the rules that need a closer look.

Neighbours: `audit` takes the steps one after the other, `run` some at once, within limits.
"""

from stockade.shop.audit import orders
from stockade.shop.audit.rule import Rule
from stockade.shop.audit.screen import Screen
from stockade.shop.audit.screens_of_requests import BY_REQUEST, BY_STOCK_EVENT
from stockade.shop.audit.screens_of_rows import BY_LINE, BY_PAYMENT, BY_ROW, BY_VERSION

# The requests first: what they leave to the screens of lines and payments is then there when these look.
SCREENS: tuple[Screen, ...] = (BY_REQUEST, BY_STOCK_EVENT, BY_ROW, BY_VERSION, BY_LINE, BY_PAYMENT)
UNSCREENED: tuple[Rule, ...] = (orders.order_total,)  # it shares its pass with none


def name(rule: Rule) -> str:
    """Of a rule, as its violations have it."""
    return str(rule.__name__).replace("_", "-")

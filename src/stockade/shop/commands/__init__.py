"""What can be done to the shop, one pure command in each file.

Every command is a frozen value with `keys`, `problem()` (what is wrong with its content before any row is read; HTTP
answers 400 with it) and `decide(rows)` (pure and total; it calls `problem()` first). Neighbours: `model.constants`
has the states and codes, `model.limits` the limits; the store carries the decisions out.
"""

from stockade.shop.commands.adjust_stock import AdjustStock
from stockade.shop.commands.cancel_lines import CancelLines
from stockade.shop.commands.cancel_order import CancelOrder
from stockade.shop.commands.charge_points import ChargePoints
from stockade.shop.commands.create_product import CreateProduct, NewSku
from stockade.shop.commands.expire_order import ExpireOrder
from stockade.shop.commands.lines import OrderLine
from stockade.shop.commands.pay_order import PayOrder
from stockade.shop.commands.payments.claim_payment import ClaimPayment
from stockade.shop.commands.payments.open_charge import OpenCharge
from stockade.shop.commands.payments.postpone import Postpone
from stockade.shop.commands.payments.retry_refund import RetryRefund
from stockade.shop.commands.payments.settle_payment import SettlePayment
from stockade.shop.commands.payments.settle_refund import SettleRefund
from stockade.shop.commands.place_order import PlaceOrder
from stockade.shop.commands.remove_cart_item import RemoveCartItem
from stockade.shop.commands.set_cart_item import SetCartItem
from stockade.shop.commands.update_product import SkuPrice, UpdateProduct

__all__ = [
    "AdjustStock",
    "CancelLines",
    "CancelOrder",
    "ChargePoints",
    "ClaimPayment",
    "CreateProduct",
    "ExpireOrder",
    "NewSku",
    "OpenCharge",
    "OrderLine",
    "PayOrder",
    "PlaceOrder",
    "Postpone",
    "RemoveCartItem",
    "RetryRefund",
    "SetCartItem",
    "SettlePayment",
    "SettleRefund",
    "SkuPrice",
    "UpdateProduct",
]

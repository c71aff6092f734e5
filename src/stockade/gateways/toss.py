"""Toss Payments: confirm, look-up by payment key or order id, cancel.

The buyer's page receives a payment key; the service confirms it. Toss keeps the answer to an idempotency key for 15
days; the key does not cover the body, so one key must never serve two payments. A notification of Toss has no
signature: it is a hint to look the payment up. (Toss Payments, core API reference, version 2022-11-16.)
"""

import base64
import json
import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from stockade.gateways.gateway import (
    Approval,
    ApprovalAnswer,
    Approved,
    BadNotification,
    Capabilities,
    Declined,
    LookUpAnswer,
    NotAsked,
    NotFound,
    Notification,
    Refund,
    RefundAnswer,
    Refunded,
    Unknown,
)
from stockade.gateways.http_client import HttpClient, Limits, Reply
from stockade.gateways.money import DECIMALS, Money

URL = "https://api.tosspayments.com"
DAY_S = 86_400.0

# Codes after which nothing was charged. Every other code, also a new one, is Unknown.
_DEFINITE_CODES = """
    BELOW_MINIMUM_AMOUNT EXCEED_MAX_AMOUNT EXCEED_MAX_AUTH_COUNT
    EXCEED_MAX_CARD_INSTALLMENT_PLAN EXCEED_MAX_DAILY_PAYMENT_COUNT EXCEED_MAX_MONTHLY_PAYMENT_AMOUNT
    EXCEED_MAX_ONE_DAY_AMOUNT EXCEED_MAX_ONE_DAY_WITHDRAW_AMOUNT EXCEED_MAX_ONE_TIME_WITHDRAW_AMOUNT
    EXCEED_MAX_PAYMENT_AMOUNT FDS_ERROR INVALID_ACCOUNT_INFO_RE_REGISTER INVALID_AUTHORIZE_AUTH
    INVALID_CARD_EXPIRATION INVALID_CARD_INSTALLMENT_PLAN INVALID_CARD_LOST_OR_STOLEN INVALID_CARD_NUMBER
    INVALID_PASSWORD INVALID_REJECT_CARD INVALID_REQUEST INVALID_STOPPED_CARD INVALID_UNREGISTERED_SUBMALL
    NOT_ALLOWED_POINT_USE NOT_AVAILABLE_BANK NOT_AVAILABLE_PAYMENT NOT_FOUND_PAYMENT NOT_FOUND_PAYMENT_SESSION
    NOT_FOUND_TERMINAL_ID NOT_REGISTERED_BUSINESS NOT_SUPPORTED_INSTALLMENT_PLAN_CARD_OR_MERCHANT
    NOT_SUPPORTED_MONTHLY_INSTALLMENT_PLAN REJECT_ACCOUNT_PAYMENT REJECT_CARD_COMPANY REJECT_CARD_PAYMENT
    REJECT_TOSSPAY_INVALID_ACCOUNT RESTRICTED_TRANSFER_ACCOUNT UNAPPROVED_ORDER_ID
"""
_REFUND_CODES = """
    EXCEED_CANCEL_AMOUNT_DISCOUNT_AMOUNT EXCEED_MAX_REFUND_DUE FORBIDDEN_BANK_REFUND_REQUEST INVALID_BANK
    INVALID_REFUND_ACCOUNT_INFO INVALID_REFUND_ACCOUNT_NUMBER INVALID_REQUEST NOT_ALLOWED_PARTIAL_REFUND
    NOT_CANCELABLE_AMOUNT NOT_CANCELABLE_PAYMENT NOT_FOUND_PAYMENT REFUND_REJECTED
"""
_DEFINITE = frozenset(_DEFINITE_CODES.split())
_REFUND_DEFINITE = frozenset(_REFUND_CODES.split())
_KEY_REFUSED = ("UNAUTHORIZED_KEY", "INVALID_API_KEY", "INCORRECT_BASIC_AUTH_FORMAT")
_NO_PAYMENT = "NOT_FOUND_PAYMENT"
_ALREADY = "ALREADY_PROCESSED_PAYMENT"
_CHARGED = ("DONE", "CANCELED", "PARTIAL_CANCELED")
_NEVER_CHARGED = ("ABORTED", "EXPIRED")
_NOT_CONFIRMED = ("READY", "IN_PROGRESS")


class Toss:
    """The gateway of Toss Payments.

    Args:
        secret_key: of the merchant; it is sent by Basic authentication and never logged.
        url: of the API; another one for tests.
        limits: of the calls.
    """

    name: str = "toss"
    capabilities = Capabilities(key_valid_s=15 * DAY_S, look_up=True, signed_notifications=False)

    def __init__(self, secret_key: str, *, url: str = URL, limits: Limits | None = None) -> None:
        if not secret_key:
            raise ValueError("Toss Payments needs the merchant's secret key")
        login = base64.b64encode(f"{secret_key}:".encode()).decode()
        self._headers = {"authorization": f"Basic {login}", "content-type": "application/json"}
        self._client = HttpClient(url, limits or Limits())

    async def approve(self, approval: Approval) -> ApprovalAnswer:
        """See `Gateway.approve`."""
        body = {
            "paymentKey": approval.payment_key,
            "orderId": approval.reference,
            "amount": _amount(approval.money),
        }
        reply = await self._call("POST", "/v1/payments/confirm", body, approval.key)
        if isinstance(reply, Unknown):
            return reply
        if _code(reply) == _ALREADY:
            return await self._already(approval)
        answer = _payment(reply, approval.reference, _DEFINITE)
        assert not isinstance(answer, NotFound)  # of a confirmation it is a decline
        return answer

    async def _already(self, approval: Approval) -> ApprovalAnswer:
        """The payment key was confirmed before: for this reference, or for another one and then never for this one."""
        reply = await self._call("GET", f"/v1/payments/{quote(approval.payment_key, safe='')}")
        if isinstance(reply, Unknown):
            return Unknown(f"{_ALREADY}, and not looked up: {reply.reason}")
        read = _json(reply.body) if reply.status == 200 else None
        other = read.get("orderId") if read and read.get("paymentKey") == approval.payment_key else None
        if isinstance(other, str) and other != approval.reference:
            return Declined(_ALREADY)
        answer = _looked_up(reply, approval.reference, approval.payment_key)
        return Unknown(_ALREADY) if isinstance(answer, NotFound) else answer

    async def look_up(self, reference: str, gateway_id: str = "", payment_key: str = "") -> LookUpAnswer:
        """See `Gateway.look_up`. The id of a payment is its payment key; by our reference Toss shows one of several."""
        key = gateway_id or payment_key
        path = quote(key, safe="") if key else f"orders/{quote(reference, safe='')}"
        reply = await self._call("GET", f"/v1/payments/{path}")
        return reply if isinstance(reply, Unknown) else _looked_up(reply, reference, key)

    async def refund(self, refund: Refund) -> RefundAnswer:
        """See `Gateway.refund`. The reason carries our reference, so that a look-up recognizes this refund."""
        reason = f"{refund.reason[:100]} [{refund.reference}]"
        body = {"cancelReason": reason, "cancelAmount": _amount(refund.money)}
        path = f"/v1/payments/{quote(refund.gateway_id, safe='')}"
        reply = await self._call("POST", f"{path}/cancel", body, refund.key)
        if isinstance(reply, Unknown):
            return reply
        answer = _refund(reply, refund)
        if isinstance(answer, Refunded):
            return answer
        looked = await self._call("GET", path)  # it may be there already, by an earlier try of ours
        if isinstance(looked, Reply) and looked.status == 404 and _code(looked) == _code(reply) == _NO_PAYMENT:
            return answer  # both say so: it gave nothing back, and never will
        if isinstance(looked, Unknown) or looked.status != 200:
            said = answer.code if isinstance(answer, Declined) else answer.reason
            return Unknown(f"{said}, and not looked up")
        found = _refund(looked, refund)
        return found if isinstance(found, Refunded) else answer

    def read_notification(self, headers: Mapping[str, str], body: bytes) -> Notification:
        """See `Gateway.read_notification`. It proves nothing: look the payment up."""
        read = _json(body)
        data = read.get("data") if read else None
        if not read or not isinstance(data, dict) or not isinstance(data.get("orderId"), str):
            raise BadNotification("not a notification of Toss Payments: no data.orderId")
        key, status = data.get("paymentKey"), data.get("status")
        made_of = f"{data['orderId']}/{key}/{status}/{read.get('createdAt')}"
        event_id = headers.get("tosspayments-webhook-transmission-id") or made_of
        return Notification(event_id[:255], data["orderId"], key if isinstance(key, str) else "", None)

    async def close(self) -> None:
        """See `Gateway.close`."""
        await self._client.close()

    async def _call(
        self, method: str, path: str, body: Mapping[str, object] | None = None, key: str = ""
    ) -> Reply | Unknown:
        headers = {**self._headers, "idempotency-key": key} if key else self._headers
        content = None if body is None else json.dumps(body).encode()
        return await self._client.call(method, path, headers=headers, content=content)


def _payment(reply: Reply, reference: str, definite: frozenset[str]) -> LookUpAnswer:
    """What a payment object or an error says about a payment."""
    read = _json(reply.body)
    if read is None:
        return Unknown(f"HTTP {reply.status} with a body that is no JSON object")
    if reply.status != 200:
        return _error(reply.status, read, definite)
    status, key, total = read.get("status"), read.get("paymentKey"), read.get("totalAmount")
    if read.get("orderId") != reference:
        return Unknown("an answer about another order")
    if status in _CHARGED and isinstance(key, str):
        money, left = _money(total, read.get("currency")), _money(read.get("balanceAmount"), read.get("currency"))
        if money is None or left is None:
            return Unknown("an answer without amounts")
        return Approved(key, money, money.amount - left.amount)
    if status in _NEVER_CHARGED:
        failure = read.get("failure")
        failure_of = failure if isinstance(failure, dict) else {}
        return Declined(str(failure_of.get("code") or status))
    return Unknown(f"the payment is {status}")


def _looked_up(reply: Reply, reference: str, key: str) -> LookUpAnswer:
    """As `_payment`. Toss knows a payment since the buyer opened its page; one that no confirmation reached is none."""
    read = _json(reply.body) if reply.status == 200 else None
    if read is not None and key:
        if read.get("paymentKey") != key:
            return Unknown("an answer about another payment")
        if isinstance(read.get("orderId"), str) and read["orderId"] != reference:
            return NotFound()  # a payment of another order, whose key was sent for this one: Toss never confirms it so
    if read is not None and read.get("status") in _NOT_CONFIRMED and read.get("orderId") == reference:
        return NotFound()
    return _payment(reply, reference, frozenset())


def _error(status: int, read: Mapping[str, Any], definite: frozenset[str]) -> Declined | NotFound | Unknown:
    code = str(read.get("code") or "")
    if code in definite and 400 <= status < 500:
        return Declined(code)
    if code in _KEY_REFUSED and 400 <= status < 500:
        return NotAsked(f"HTTP {status} {code}", key_refused=True)
    if status == 404 and code == _NO_PAYMENT:
        return NotFound()
    return Unknown(f"HTTP {status} {code[:60]}")


def _code(reply: Reply) -> str:
    """Of an error; empty: it is none, or cannot be read."""
    read = None if reply.status == 200 else _json(reply.body)
    return str(read.get("code") or "") if read else ""


def _refund(reply: Reply, refund: Refund) -> RefundAnswer:
    """Our refund among those of a payment, or why it was refused."""
    read = _json(reply.body)
    if read is None:
        return Unknown(f"HTTP {reply.status} with a body that is no JSON object")
    if reply.status != 200:
        answer = _error(reply.status, read, _REFUND_DEFINITE)
        return Unknown("not found") if isinstance(answer, NotFound) else answer
    cancels = read.get("cancels")
    for cancel in cancels if isinstance(cancels, list) else ():
        if isinstance(cancel, dict) and str(cancel.get("cancelReason", "")).endswith(f"[{refund.reference}]"):
            money = _money(cancel.get("cancelAmount"), read.get("currency"))
            if money is not None and cancel.get("cancelStatus", "DONE") == "DONE":
                return Refunded(str(cancel.get("transactionKey", "")), money)
    return Unknown("the payment does not show this refund")


def _amount(money: Money) -> int | float:
    places = DECIMALS[money.currency]
    return money.amount if places == 0 else money.amount / 10**places


def _money(amount: object, currency: object) -> Money | None:
    if not isinstance(amount, int | float) or isinstance(amount, bool) or not isinstance(currency, str):
        return None
    if currency not in DECIMALS or not math.isfinite(amount) or amount < 0:
        return None
    return Money(round(amount * 10 ** DECIMALS[currency]), currency)


def _json(body: bytes) -> dict[str, Any] | None:
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None

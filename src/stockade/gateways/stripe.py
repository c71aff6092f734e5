"""Stripe: PaymentIntents that are made and confirmed in one call, refunds, and signed webhooks.

The buyer's page receives a payment method. Stripe keeps the answer to an idempotency key for at least 24 hours and
compares the parameters. A PaymentIntent can be read by its own id only: the search by metadata lags behind, so it is no
look-up. While the id is not known, the request is repeated with the same key. (Stripe API reference.)
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import httpx
import stripe

from stockade.gateways.gateway import (
    MAX_NOTIFICATION_BYTES,
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
    RefundFailed,
    Unknown,
)
from stockade.gateways.http_client import Limits
from stockade.gateways.money import DECIMALS, Money

KEY_VALID_S = 23 * 3_600.0  # of the 24 hours an hour is left for the clocks and the way
MAX_AGE_S = 300  # of a notification
REFERENCE = "reference"  # the member of `metadata` that holds ours
NOT_GIVEN_BACK = ("failed", "canceled")  # last states of a refund, also of one that was `pending` or `succeeded` before

# Refusals of the request itself, after which nothing was charged or refunded. Every other code is Unknown.
_DEFINITE_CODES = """
    amount_too_large amount_too_small charge_already_refunded charge_disputed charge_not_refundable
    currency_not_supported invalid_charge_amount parameter_invalid_integer payment_intent_unexpected_state
    payment_method_currency_mismatch payment_method_unactivated refund_disputed_payment resource_missing
"""
_DEFINITE = frozenset(_DEFINITE_CODES.split())
T = TypeVar("T")


class Stripe:
    """The gateway of Stripe.

    Args:
        secret_key: of the merchant; never logged.
        webhook_secrets: of the endpoint that receives notifications; several while one is rotated. Without any, every
            notification is refused.
        url: of the API; empty for Stripe's own, another one for tests.
        limits: of the calls.
        clock: wall clock in seconds since 1970, for the age of notifications.
    """

    name = "stripe"
    capabilities = Capabilities(key_valid_s=KEY_VALID_S, look_up=False, signed_notifications=True)

    def __init__(
        self,
        secret_key: str,
        *,
        webhook_secrets: tuple[str, ...] = (),
        url: str = "",
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not secret_key:
            raise ValueError("Stripe needs the merchant's secret key")
        self._limits, self._secrets, self._clock = limits or Limits(), webhook_secrets, clock
        self._http = _Http(self._limits)
        self._client = stripe.StripeClient(
            secret_key,
            http_client=self._http,
            max_network_retries=0,  # a repetition is the caller's decision, and recorded before it is made
            base_addresses={"api": url} if url else None,
        )

    async def approve(self, approval: Approval) -> ApprovalAnswer:
        """See `Gateway.approve`. A card that asks for a second step is declined: it cannot be shown from here."""
        params: Any = {
            "amount": approval.money.amount,
            "currency": approval.money.currency.lower(),
            "payment_method": approval.payment_key,
            "confirm": True,
            "error_on_requires_action": True,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "metadata": {REFERENCE: approval.reference},
            "description": approval.order_name[:100],
        }
        create = self._client.v1.payment_intents.create_async
        answer = await self._ask(create(params, {"idempotency_key": approval.key}))
        if isinstance(answer, Declined | Unknown):
            return answer
        read = _intent(answer)
        return Unknown("an answer about another payment") if _reference(answer) != approval.reference else read

    async def look_up(self, reference: str, gateway_id: str = "", payment_key: str = "") -> LookUpAnswer:
        """See `Gateway.look_up`. Without `gateway_id` it is Unknown."""
        if not gateway_id:
            return Unknown("Stripe finds a payment by its own id only")
        params: Any = {"expand": ["latest_charge"]}
        answer = await self._ask(self._client.v1.payment_intents.retrieve_async(gateway_id, params))
        if isinstance(answer, Declined):
            return NotFound() if answer.code == "resource_missing" else Unknown(answer.code)
        if isinstance(answer, Unknown):
            return answer
        return _intent(answer) if _reference(answer) == reference else Unknown("an answer about another payment")

    async def refund(self, refund: Refund) -> RefundAnswer:
        """See `Gateway.refund`."""
        params: Any = {
            "payment_intent": refund.gateway_id,
            "amount": refund.money.amount,
            "metadata": {REFERENCE: refund.reference, "reason": refund.reason[:100]},
        }
        answer = await self._ask(self._client.v1.refunds.create_async(params, {"idempotency_key": refund.key}))
        if isinstance(answer, Declined | Unknown):
            return answer
        if answer.status in NOT_GIVEN_BACK:
            return Declined(str(getattr(answer, "failure_reason", None) or answer.status))
        money = _money(answer.amount, answer.currency)
        return Unknown("an answer without an amount") if money is None else Refunded(answer.id, money)

    def read_notification(self, headers: Mapping[str, str], body: bytes) -> Notification:
        """See `Gateway.read_notification`. A signature of any of the secrets counts, for `MAX_AGE_S` seconds."""
        if len(body) > MAX_NOTIFICATION_BYTES:
            raise BadNotification(f"a notification of more than {MAX_NOTIFICATION_BYTES:,} bytes")
        self._check_signature(headers.get("stripe-signature", ""), body)
        try:
            event = json.loads(body)
            about, event_id, kind = event["data"]["object"], str(event["id"]), str(event["type"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BadNotification(f"not an event of Stripe: {type(error).__name__}") from None
        if not isinstance(about, dict) or about.get("object") not in ("payment_intent", "charge", "refund"):
            return Notification(event_id, "", "", None)
        metadata = about.get("metadata")
        reference = str(metadata.get(REFERENCE, "")) if isinstance(metadata, dict) else ""
        if about["object"] != "payment_intent":
            failed = _failed(about) if about["object"] == "refund" else None
            return Notification(event_id, reference, str(about.get("payment_intent") or ""), failed)
        gateway_id = str(about.get("id", ""))
        answer: Approved | Declined | None = None
        money = _money(about.get("amount_received"), about.get("currency"))
        if kind == "payment_intent.succeeded" and money is not None:
            answer = Approved(gateway_id, money)
        elif kind == "payment_intent.canceled" and about.get("status") == "canceled":  # its last state
            answer = Declined("canceled")
        return Notification(event_id, reference, gateway_id, answer)

    async def close(self) -> None:
        """See `Gateway.close`."""
        await self._http.close_async()  # type: ignore[no-untyped-call]

    def _check_signature(self, header: str, body: bytes) -> None:
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise BadNotification("the notification is not UTF-8") from None
        if not self._secrets:
            raise BadNotification("the service has no secret to check it with (setting gateway_webhook_secrets)")
        for secret in self._secrets:
            try:
                stripe.WebhookSignature.verify_header(text, header, secret, None)
            except stripe.SignatureVerificationError:
                continue
            # the very item that the signature covers: the name of another one may end with the same letter
            signed_s = next(int(item[2:]) for item in header.split(",") if item.startswith("t="))
            if abs(self._clock() - signed_s) > MAX_AGE_S:
                raise BadNotification(f"the notification is not from the last {MAX_AGE_S} s")
            return
        raise BadNotification("the signature of the notification is not Stripe's")

    async def _ask(self, request: Awaitable[T]) -> T | Declined | Unknown:
        try:
            async with asyncio.timeout(self._limits.call_s):
                return await request
        except stripe.CardError as error:
            code = getattr(error.error, "decline_code", None) or error.code or "card_declined"
            return Declined(str(code))
        except stripe.InvalidRequestError as error:
            if error.code in _DEFINITE and error.http_status in (400, 404):
                return Declined(str(error.code))
            return Unknown(f"HTTP {error.http_status} {error.code}")
        except (stripe.AuthenticationError, stripe.PermissionError) as error:
            return NotAsked(f"HTTP {error.http_status} {type(error).__name__}", key_refused=True)
        except stripe.APIConnectionError as error:
            cause = error.__cause__
            if isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
                return NotAsked(f"not connected: {type(cause).__name__}")
            return Unknown(f"no reply: {type(cause).__name__}")
        except stripe.StripeError as error:
            return Unknown(f"HTTP {error.http_status} {type(error).__name__}")
        except TimeoutError:
            return Unknown("no reply in time")
        except Exception as error:  # noqa: BLE001 - a reply that the package cannot read says nothing about the payment
            return Unknown(f"an answer that cannot be read: {type(error).__name__}")


class _Http(stripe.HTTPXClient):
    """Stripe's own client over HTTPX, within our limits."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(timeout=None)
        self._client_async = limits.client()

    def _get_request_args_kwargs(self, method: str, url: str, headers: Mapping[str, str], post_data: Any) -> Any:
        return (method, url), {"headers": headers, "content": post_data or b""}  # HTTPX deprecates text as `data`


def _intent(intent: Any) -> Approved | Declined | Unknown:
    """What a PaymentIntent says."""
    money = _money(intent.amount_received, intent.currency)
    match intent.status:
        case "succeeded" if money is not None:
            charge = getattr(intent, "latest_charge", None)
            refunded = getattr(charge, "amount_refunded", 0)
            return Approved(intent.id, money, refunded if isinstance(refunded, int) else 0)
        case "canceled":
            return Declined("canceled")
    return Unknown(f"the payment is {intent.status}")


def _failed(refund: dict[str, Any]) -> RefundFailed | None:
    """What an event says about a refund, whatever its type: they differ by the version of the API."""
    if refund.get("status") not in NOT_GIVEN_BACK:
        return None
    return RefundFailed(str(refund.get("id", "")), str(refund.get("failure_reason") or refund["status"]))


def _reference(intent: Any) -> str:
    metadata = getattr(intent, "metadata", None) or {}
    return str(metadata[REFERENCE]) if REFERENCE in metadata else ""


def _money(amount: object, currency: object) -> Money | None:
    if type(amount) is not int or amount < 0 or not isinstance(currency, str) or currency.upper() not in DECIMALS:
        return None
    return Money(amount, currency.upper())

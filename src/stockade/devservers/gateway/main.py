"""The process of the test gateway: `python -m stockade.devservers.gateway.main '{"port": 8100}'`."""

import asyncio
import json
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from stockade.devservers.gateway.behaviour import Behaviour
from stockade.devservers.gateway.dialect import Dialect
from stockade.devservers.gateway.ledger import GivenBack, Kept, Ledger, Payment
from stockade.devservers.gateway.notifications import Notifications
from stockade.devservers.gateway.reply import Reply
from stockade.devservers.gateway.stripe_dialect import StripeDialect
from stockade.devservers.gateway.toss_dialect import TossDialect


class Carried(NamedTuple):
    """How a request ended.

    Attributes:
        reply: what is sent; None: the connection ends without a reply.
        kept: the answer that the idempotency key keeps; None: a repeated request is carried out.
    """

    reply: Reply | None
    kept: Reply | None


class DialectEndpoints:
    """Serves one dialect over the common ledger."""

    def __init__(self, dialect: Dialect, ledger: Ledger, behaviour: Behaviour, notifications: Notifications) -> None:
        self._dialect, self._ledger, self._behaviour = dialect, ledger, behaviour
        self._notifications = notifications

    async def charge(self, request: Request) -> Response:
        """Charge a buyer."""
        return await self._once(request, self._charge)

    async def refund(self, request: Request) -> Response:
        """Give money back."""
        return await self._once(request, self._refund)

    async def show(self, request: Request) -> Response:
        """Show a payment by its id or its reference."""
        await asyncio.sleep(self._behaviour.latency_s)
        if self._behaviour.outage:
            return _response(self._dialect.refused(503, "outage"))
        if not self._behaviour.look_up:
            return _response(self._dialect.refused(404, "no-look-up"))
        reference = request.path_params.get("reference")
        payment = self._ledger.payments.get(request.path_params.get("id", ""))
        found = self._ledger.of_reference(reference) if reference else [payment] if payment else []
        return _response(self._dialect.paid(found[0]) if found else self._dialect.refused(404, "not-found"))

    async def _once(self, request: Request, carry_out: Callable[[Request, bytes], Awaitable[Carried]]) -> Response:
        """Carry a request out, once under its idempotency key."""
        ledger, behaviour, body = self._ledger, self._behaviour, await request.body()
        ledger.requests += 1
        await asyncio.sleep(behaviour.latency_s)
        if behaviour.outage:
            return _response(self._dialect.refused(503, "outage"))
        if not request.headers.get("authorization"):
            return _response(self._dialect.refused(401, "no-login"))
        key = request.headers.get("idempotency-key", "")
        if not key or not behaviour.keyed:
            return _answer(request, (await carry_out(request, body)).reply)
        key = f"{request.url.path} {key}"
        if key in ledger.busy_keys:
            return _response(self._dialect.refused(409, "key-busy"))
        kept = ledger.answers.get(key)
        if kept is not None and time.monotonic() - kept.at_s < behaviour.key_valid_s:
            reused = self._dialect.key_covers_body and kept.request != body
            return _response(self._dialect.refused(400, "key-reused") if reused else kept.reply)
        ledger.busy_keys.add(key)
        try:
            carried = await carry_out(request, body)
        finally:
            ledger.busy_keys.discard(key)
        if carried.kept is not None:
            ledger.answers[key] = Kept(time.monotonic(), body, carried.kept)
        return _answer(request, carried.reply)

    async def _charge(self, request: Request, body: bytes) -> Carried:
        dialect, ledger, behaviour = self._dialect, self._ledger, self._behaviour
        try:
            order = dialect.read_order(body)
            fault = behaviour.fault_of(request.headers, order.payment_key)
        except ValueError as error:
            reply = dialect.refused(400, "bad-request")
            print(f"refused: {error}", flush=True)  # noqa: T201 - the log of this process is its output
            return Carried(reply, reply)
        if fault == "lost-request":
            return Carried(None, None)
        if fault == "error":
            reply = dialect.refused(500, "error")
            return Carried(reply, reply if behaviour.stores_errors else None)
        if fault == "unknown-key":
            reply = dialect.refused(404, "not-found")
            return Carried(reply, reply)
        payment = Payment(dialect.payment_id(order, ledger.new_id("t")), order.reference, order.amount, order.currency)
        known = ledger.payments.get(payment.id)
        if behaviour.once_per_payment_key and known is not None and not known.declined:
            reply = dialect.refused(400, "already")
            return Carried(reply, reply)
        if fault == "decline":
            payment.declined = "declined"
        if fault == "wrong-amount":
            payment.amount += 1
        ledger.add(payment)
        message = dialect.notification(payment, ledger.new_id("e"), int(time.time()), behaviour.webhook_secret)
        await self._notifications.send(message)
        truth = dialect.refused(400, "declined") if payment.declined else dialect.paid(payment)
        return await self._done(fault, truth)

    async def _refund(self, request: Request, body: bytes) -> Carried:
        dialect, ledger = self._dialect, self._ledger
        try:
            id_, amount, about = dialect.read_refund(body, request.path_params.get("id", ""))
            fault = self._behaviour.fault_of(request.headers, "")
        except ValueError:
            reply = dialect.refused(400, "bad-request")
            return Carried(reply, reply)
        if fault == "lost-request":
            return Carried(None, None)
        if fault == "error":
            reply = dialect.refused(500, "error")
            return Carried(reply, reply if self._behaviour.stores_errors else None)
        payment = ledger.payments.get(id_)
        if payment is None or payment.declined or not 1 <= amount <= payment.left or fault == "decline":
            reply = dialect.refused(400, "refund" if payment else "not-found")
            return Carried(reply, reply)
        given_back = amount - 1 if fault == "wrong-amount" else amount
        payment.refunds.append(GivenBack(ledger.new_id("r"), given_back, about))
        return await self._done(fault, dialect.refunded(payment))

    async def _done(self, fault: str, truth: Reply) -> Carried:
        """It is done, and the fault decides how the caller learns of it."""
        if fault == "slow":
            await asyncio.sleep(self._behaviour.slow_s)
        if fault == "lost-reply":
            return Carried(None, truth)
        if fault == "approve-then-error":
            reply = self._dialect.refused(500, "error")
            return Carried(reply, reply if self._behaviour.stores_errors else truth)
        return Carried(truth, truth)


def _response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, media_type="application/json")


def _answer(request: Request, reply: Reply | None) -> Response:
    """The response; without a reply the connection is aborted, as by a gateway that ends."""
    if reply is None:
        request.receive.__self__.transport.abort()  # type: ignore[attr-defined]  # of uvicorn's cycle of this request
        return Response(status_code=500)
    return _response(reply)


def application(behaviour: Behaviour) -> Starlette:
    """The gateway as an ASGI application."""
    ledger, notifications = Ledger(), Notifications(behaviour)
    toss = DialectEndpoints(TossDialect(), ledger, behaviour, notifications)
    stripe = DialectEndpoints(StripeDialect(), ledger, behaviour, notifications)

    async def count(request: Request) -> Response:
        approved: dict[str, list[int]] = {}
        refunded: dict[str, list[int]] = {}
        for payment in ledger.payments.values():
            if not payment.declined:
                approved.setdefault(payment.reference, []).append(payment.amount)
            for refund in payment.refunds:
                refunded.setdefault(payment.reference, []).append(refund.amount)
        declined = {each.reference for each in ledger.payments.values() if each.declined} - set(approved)
        read = {"approved": approved, "refunded": refunded, "declined": sorted(declined)}
        numbers = {"requests": ledger.requests, "lost_notifications": notifications.lost}
        return JSONResponse({**read, **numbers})

    async def behave(request: Request) -> Response:
        try:
            behaviour.change(await request.json())
        except ValueError as error:
            return JSONResponse({"error": str(error)})
        return JSONResponse({})

    routes = [
        Route("/v1/payments/confirm", toss.charge, methods=["POST"]),
        Route("/v1/payments/orders/{reference}", toss.show),
        Route("/v1/payments/{id}/cancel", toss.refund, methods=["POST"]),
        Route("/v1/payments/{id}", toss.show),
        Route("/v1/payment_intents", stripe.charge, methods=["POST"]),
        Route("/v1/payment_intents/{id}", stripe.show),
        Route("/v1/refunds", stripe.refund, methods=["POST"]),
        Route("/test/count", count),
        Route("/test/behaviour", behave, methods=["POST"]),
    ]
    return Starlette(routes=routes)


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print("gateway is ready", flush=True)  # noqa: T201 - `spec` waits for this line


def main(task: str) -> None:
    """Serve until the process ends.

    Args:
        task: a JSON object: the port, and options of `Behaviour`.
    """
    options: dict[str, Any] = json.loads(task)
    port, behaviour = options.pop("port"), Behaviour()
    behaviour.change(options)
    config = uvicorn.Config(application(behaviour), host="127.0.0.1", port=port, log_level="warning", lifespan="off")
    _Server(config).run()


if __name__ == "__main__":
    main(sys.argv[1])

"""The walk of every request: gate, caller, path, key, body, then the command or the query, then the answer.

One function for all routes, so that a check cannot be forgotten on one of them. Neighbours: `route` says what each
route takes; `incoming` reads; `problems` answers what goes wrong; `app` hands this to Litestar.
"""

import asyncio
import random
import re
import time
from typing import Any
from uuid import uuid4

import msgspec
from litestar.types import Receive, Scope

from stockade.core import Outcome, Pending
from stockade.shop.http.requests.idempotency import read_key
from stockade.shop.http.requests.request_parsing import (
    ClientGone,
    Head,
    check_json,
    decode_body,
    read_body,
    read_head,
    read_query,
)
from stockade.shop.http.responses.problems import Refusal, of_error, of_rejection, problem, retry_after
from stockade.shop.http.responses.response import JSON, Headers, Reply
from stockade.shop.http.responses.response_cache import Kept
from stockade.shop.http.routing.app_state import Desk
from stockade.shop.http.routing.route import Access, Call, Route
from stockade.shop.model.constants import PENDING
from stockade.shop.model.ids import fingerprint_of, new_request_id, request_id_of
from stockade.shop.operations.logs import logger
from stockade.shop.tokens import BadToken, Caller

_REQUEST_ID = "stockade.request_id"
_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z").match
_REPLAYED: Headers = ((b"idempotent-replayed", b"true"),)
_APPLIED: Headers = ((b"preference-applied", b"respond-async"),)
_CHALLENGE: Headers = ((b"www-authenticate", b"Bearer"),)
_encode = msgspec.json.Encoder().encode


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Endpoint:
    """Answers the requests of one route."""

    def __init__(self, route: Route, desk: Desk) -> None:
        self.route = route
        self._desk = desk
        self._label = f"{route.method} {route.path}"
        self._most_bytes = desk.settings.max_body_kib * 1024
        self._body_wait_s = desk.settings.body_wait_s
        self._decoder = msgspec.json.Decoder(route.body) if route.body is not None else None
        self._kept = Kept(desk.settings.cache_s) if route.cached else None
        self._log_share = desk.settings.access_log

    async def answer(self, scope: Scope, receive: Receive) -> Reply:
        """The answer to one request: never raises but for a cancellation that is not the end of a stop."""
        begun_s = time.perf_counter()
        gate = self._desk.gate
        entered = False
        try:
            gate.enter()
            entered = True
            reply = await self._work(scope, receive)
        except Exception as error:  # noqa: BLE001  # the edge: whatever happens, the client gets a problem body
            reply = of_error(error) or self._unexpected(error, scope)
        except asyncio.CancelledError:
            if not gate.stopping:
                raise
            reply = self._cut_short()  # the server ends in any case, and nobody waits for this task
        finally:
            if entered:
                gate.leave()
        took_s = time.perf_counter() - begun_s
        self._desk.metrics.request(self._label, reply.status, took_s)
        if self._log_share and random.random() < self._log_share:
            logger().info("request", **self._where(scope), status=reply.status, took_s=took_s)
        return reply

    def _where(self, scope: Scope) -> dict[str, object]:
        """What a line of the log says about a request; the request id is that of the order, charge or payment too."""
        return {"route": self._label, "path": scope["path"], "request_id": scope.get(_REQUEST_ID, "")}

    def _unexpected(self, error: Exception, scope: Scope) -> Reply:
        if isinstance(error, ClientGone):
            return problem("INVALID_REQUEST", "the connection was closed before the body had arrived")
        log_id = uuid4().hex
        logger().error("unexpected", log_id=log_id, **self._where(scope), exc_info=error)
        return problem("INTERNAL_ERROR", headers=((b"x-log-id", log_id.encode()),))

    def _cut_short(self) -> Reply:
        """`stop_wait_s` is over: a command may still be carried out, or not."""
        outcome = "unknown" if self.route.command is not None else "none"
        return problem("NOT_READY", "the service stopped before the answer came", outcome=outcome)

    async def _work(self, scope: Scope, receive: Receive) -> Reply:
        route = self.route
        head = read_head(scope)
        caller = self._caller(head) if route.access is not Access.ANYONE else None
        params = self._params(scope["path_params"], caller)
        query = read_query(scope["query_string"], route.query) if route.query is not None else None
        if route.read is not None:
            return await self._read(Call(caller, params, None, query, "", "", _now_ms(), self._desk.settings))
        request_id = self._request_id(head, caller)
        scope[_REQUEST_ID] = request_id  # type: ignore[literal-required]  # for the log
        body = await self._body(head, receive)
        fingerprint = fingerprint_of((params, body))
        call = Call(caller, params, body, query, request_id, fingerprint, _now_ms(), self._desk.settings)
        return await self._command(call, head.respond_async)

    def _caller(self, head: Head) -> Caller:
        if head.authorization is None or head.repeated == b"authorization":
            raise Refusal("UNAUTHENTICATED", "send one Authorization header: Bearer, a space, a token", _CHALLENGE)
        scheme, _, token = head.authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            raise Refusal("UNAUTHENTICATED", "the Authorization header must be Bearer, a space, a token", _CHALLENGE)
        try:
            caller = self._desk.tokens.caller(token)
        except BadToken as bad:
            raise Refusal("UNAUTHENTICATED", str(bad), _CHALLENGE) from None
        if self.route.access is Access.ADMIN and not caller.admin:
            raise Refusal("FORBIDDEN", "only an administrator may do this")
        return caller

    @staticmethod
    def _params(params: dict[str, Any], caller: Caller | None) -> dict[str, str]:
        for name, value in params.items():
            if not _ID(value):
                raise Refusal("INVALID_REQUEST", f"{name}: an id has 1 to 64 letters, digits and any of . _ : -")
            if name == "user_id" and caller is not None and value != caller.user_id and not caller.admin:
                raise Refusal("FORBIDDEN", "a user may act for itself only")
        return params

    def _request_id(self, head: Head, caller: Caller | None) -> str:
        if not self.route.keyed or caller is None:
            return new_request_id(_now_ms())
        if head.repeated == b"idempotency-key":
            raise Refusal("IDEMPOTENCY_KEY_INVALID", "the Idempotency-Key header stands twice")
        return request_id_of(caller.user_id, self.route.method, self.route.path, read_key(head.key))

    async def _body(self, head: Head, receive: Receive) -> Any:
        if self._decoder is None:
            return None
        check_json(head.content_type)
        return decode_body(await read_body(receive, self._most_bytes, self._body_wait_s), self._decoder)

    async def _command(self, call: Call, respond_async: bool) -> Reply:
        route, desk = self.route, self._desk
        assert route.command is not None
        command = route.command(call)
        wrong = command.problem()
        if wrong is not None:
            raise Refusal("INVALID_REQUEST", wrong)
        # without a key nobody could ask for the outcome; without a log the preference is ignored, as RFC 7240 allows
        if respond_async and route.keyed and await desk.shop.submit(command):
            return self._queued(call, _APPLIED)
        try:
            if route.keyed:
                outcome = await desk.duplicates.run(command, desk.shop.execute)
            else:
                outcome = await desk.shop.execute(command)
        except Pending:
            return self._queued(call)
        return self._outcome(outcome)

    def _queued(self, call: Call, further: Headers = ()) -> Reply:
        """202: it will be decided. An order says where to look; anything may be sent again, which waits again."""
        body = {"status": PENDING}
        headers = retry_after(1) + further
        if self.route.queued:
            body[self.route.queued] = call.request_id
        if self.route.queued == "order_id":
            proof = self._desk.tokens.promise(call.request_id, call.user_id, call.now_ms)
            headers += ((b"location", f"/v1/orders/{call.request_id}?pending={proof}".encode()),)
        return Reply(202, _encode(body), JSON, headers)

    def _outcome(self, outcome: Outcome) -> Reply:
        """A replay differs from the first answer in one header, and in nothing else."""
        route = self.route
        if not outcome.accepted:
            reply = of_rejection(outcome)  # type: ignore[arg-type]  # not accepted: it is a Rejected
        elif route.reply is None:
            reply = Reply(route.status, b"", b"")
        else:
            reply = Reply(route.status, _encode(outcome.data), JSON)
        if outcome.replayed and route.keyed:
            reply.headers = _REPLAYED
        return reply

    async def _read(self, call: Call) -> Reply:
        if self._kept is None:
            return await self._fresh(call)
        return await self._kept.get(call.query, lambda: self._fresh(call))

    async def _fresh(self, call: Call) -> Reply:
        route = self.route
        read = route.read
        assert read is not None
        answer = await self._desk.shop.read(lambda connection: read(connection, call), wait_s=route.read_wait_s)
        if answer is None and route.pending is not None:
            answer = self._still_pending(call)
        if answer is None:
            raise Refusal(route.missing, "")
        return Reply(route.status, _encode(answer), JSON)

    def _still_pending(self, call: Call) -> object | None:
        """What a queued order looks like, while the proof in its Location holds."""
        pending = self.route.pending
        taken_ms = self._desk.tokens.promised_ms(call.query.pending, call.params["order_id"], call.user_id)
        if pending is None or taken_ms is None or call.now_ms >= taken_ms + self._desk.settings.keep_ms:
            return None
        return pending(call, taken_ms)

"""The path of every request: parse and check it, run the command or the query, encode the response.

One class for all routes, so that no route can lack a check. Neighbours: `app` calls `Endpoint.answer`, pages of the
shop front `Endpoint.call`; `route` says what each route takes; `requests` reads, `responses` encodes; `Shop.execute`
hands the command to its strategy.
"""

import asyncio
import random
import time
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.types import Receive, Scope

from stockade.core import Accepted, JsonValue, Outcome, Pending
from stockade.core.clock import now_ms
from stockade.identity import Identity
from stockade.service.ids import fingerprint_of, new_request_id, request_id_of
from stockade.shop.http.requests.authorization import Access, authenticate, checked_ids
from stockade.shop.http.requests.idempotency import read_key
from stockade.shop.http.requests.request_parsing import (
    ClientDisconnected,
    RequestHeaders,
    decode_body,
    read_body,
    read_headers,
    read_query,
    require_json,
)
from stockade.shop.http.responses.problems import (
    ProblemError,
    error_response,
    problem,
    rejection_response,
    retry_after,
    unexpected,
)
from stockade.shop.http.responses.response import JSON, Headers, Response
from stockade.shop.http.responses.response_cache import ResponseCache
from stockade.shop.http.routing.app_state import AppState
from stockade.shop.http.routing.route import Ending, Notice, RequestContext, Route
from stockade.shop.model.constants import PENDING
from stockade.shop.operations.logs import logger

_REQUEST_ID = "stockade.request_id"  # in the ASGI scope, for the log
_REPLAYED: Headers = ((b"idempotent-replayed", b"true"),)
_APPLIED: Headers = ((b"preference-applied", b"respond-async"),)
_GATEWAYS_WORDS = {"code": "decline_code"}  # a problem has a `code` of ours
_encode = msgspec.json.Encoder().encode


class Endpoint:
    """Answers the requests to one route."""

    def __init__(self, route: Route, state: AppState) -> None:
        self.route = route
        self._state = state
        self._label = f"{route.method} {route.path}"
        self._max_body_bytes = state.settings.max_body_kib * 1024
        self._decoder = msgspec.json.Decoder(route.body) if route.body is not None else None
        self._cache = ResponseCache(state.settings.cache_s) if route.cached else None

    async def answer(self, scope: Scope, receive: Receive) -> Response:
        """The response to one request.

        Raises:
            asyncio.CancelledError: the request was cancelled, and not by the end of `stop_wait_s`.
        """
        begun_s = time.perf_counter()
        concurrency = self._state.concurrency
        entered = False
        try:
            concurrency.enter()
            entered = True
            response = await self._respond(scope, receive)
        except ClientDisconnected:
            response = problem("INVALID_REQUEST", "the connection was closed before the body had arrived")
        except Exception as error:  # noqa: BLE001  # the edge: whatever happens, the client gets a problem body
            response = error_response(error) or unexpected(error, **self._log_fields(scope))
        except asyncio.CancelledError:
            if not concurrency.stopping:
                raise
            response = self._stopped()  # the server ends now, and nobody awaits this task
        finally:
            if entered:
                concurrency.leave()
        took_s = time.perf_counter() - begun_s
        self._state.metrics.request(self._label, response.status, took_s)
        log_share = self._state.settings.access_log
        if log_share and random.random() < log_share:
            logger().info("request", **self._log_fields(scope), status=response.status, took_s=took_s)
        return response

    async def call(self, caller: Identity, path_ids: dict[str, str], body: Mapping[str, object], key: str) -> Response:
        """The response to a command from inside this process, as the same request over HTTP would receive it.

        Args:
            caller: who has signed in.
            path_ids: the ids in the path, by name.
            body: the members of the request's body.
            key: the Idempotency-Key.

        Raises:
            ProblemError, StockadeError: as `error_response` reads them.
        """
        route = self.route
        if route.access is Access.ADMIN and not caller.admin:
            raise ProblemError("FORBIDDEN", "only an administrator may do this")
        ids = checked_ids(path_ids, caller)
        try:
            content = msgspec.convert(body, route.body) if route.body is not None else None
        except msgspec.ValidationError as error:
            raise ProblemError("INVALID_REQUEST", str(error)) from None
        at_ms = now_ms()
        id_ = new_request_id(at_ms)
        if route.keyed:
            id_ = request_id_of(caller.user_id, route.method, route.path, read_key(key.encode()))
        prints = fingerprint_of((ids, content))
        request = RequestContext(caller, ids, content, None, id_, prints, at_ms, self._state.settings)
        return await self._command(request, respond_async=False)

    def _log_fields(self, scope: Scope) -> dict[str, object]:
        # the request id is also the id of the order, charge or payment that the request makes
        return {"route": self._label, "path": scope["path"], "request_id": scope.get(_REQUEST_ID, "")}

    def _stopped(self) -> Response:
        """For a request that outlives `stop_wait_s`: its command may still be carried out, or not."""
        outcome = "unknown" if self.route.command is not None else "none"
        return problem("NOT_READY", "the service stopped before the answer came", outcome=outcome)

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        route, settings = self.route, self._state.settings
        headers = read_headers(scope)
        caller = await authenticate(headers, self._state.tokens.verifier, route.access)
        path_ids = checked_ids(scope["path_params"], caller)
        query = read_query(scope["query_string"], route.query) if route.query is not None else None
        if route.notified is not None:
            return await self._notified(scope, receive, path_ids)
        if route.read is not None:
            return await self._read(RequestContext(caller, path_ids, None, query, "", "", now_ms(), settings))
        request_id = scope[_REQUEST_ID] = self._request_id(headers, caller)
        body = await self._body(headers, receive)
        fingerprint = fingerprint_of((path_ids, body))
        request = RequestContext(caller, path_ids, body, query, request_id, fingerprint, now_ms(), settings)
        return await self._command(request, headers.respond_async)

    def _request_id(self, headers: RequestHeaders, caller: Identity | None) -> str:
        if not self.route.keyed or caller is None:
            return new_request_id(now_ms())
        if headers.repeated == b"idempotency-key":
            raise ProblemError("IDEMPOTENCY_KEY_INVALID", "the Idempotency-Key header stands twice")
        return request_id_of(caller.user_id, self.route.method, self.route.path, read_key(headers.key))

    async def _body(self, headers: RequestHeaders, receive: Receive) -> Any:
        if self._decoder is None:
            return None
        require_json(headers.content_type)
        raw = await read_body(receive, self._max_body_bytes, self._state.settings.body_wait_s)
        return decode_body(raw, self._decoder)

    async def _command(self, request: RequestContext, respond_async: bool) -> Response:
        route, state = self.route, self._state
        assert route.command is not None
        command = route.command(request)
        wrong = command.problem()
        if wrong is not None:
            raise ProblemError("INVALID_REQUEST", wrong)
        # without a key nobody could query the outcome; without a log the preference is ignored, as RFC 7240 allows
        if respond_async and route.keyed and await state.submit(command):
            return self._queued(request, _APPLIED)
        try:
            if route.keyed:
                outcome = await state.duplicates.run(command, state.execute)
            else:
                outcome = await state.execute(command)
        except Pending:
            return self._queued(request)
        return self._decided(outcome)

    def _queued(self, request: RequestContext, further: Headers = ()) -> Response:
        """202: the command will be decided. Of an order, Location says where the outcome will be."""
        body = {"status": PENDING}
        headers = retry_after(1) + further
        if self.route.queued_member:
            body[self.route.queued_member] = request.request_id
        if self.route.queued_location:
            proof = self._state.tokens.proofs.sign(request.request_id, request.user_id, request.now_ms)
            path = self.route.queued_location.format(id=request.request_id, proof=proof)
            headers += ((b"location", path.encode()),)
        return Response(202, _encode(body), JSON, headers)

    def _decided(self, outcome: Outcome) -> Response:
        """A replay differs from the first response in one header, and in nothing else."""
        route = self.route
        if not isinstance(outcome, Accepted):
            response = rejection_response(outcome)
        elif route.response is None:
            response = Response(route.status, b"", b"")
        elif route.ending is not None and (ending := route.ending(outcome.data)) is not None:
            response = _ended(ending, outcome.data)
        else:
            data = outcome.data if route.shown is None else route.shown(outcome.data, self._state.settings)
            response = Response(route.status, _encode(data), JSON)
            if route.location:
                response.headers = ((b"location", route.location.format_map(outcome.data).encode()),)
        if outcome.replayed and route.keyed:
            response.headers = (*response.headers, *_REPLAYED)
        return response

    async def _notified(self, scope: Scope, receive: Receive, path_ids: dict[str, str]) -> Response:
        """A payment gateway is no user: it has no token, and what it sent is checked as it came."""
        route, state = self.route, self._state
        assert route.notified is not None
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body = await read_body(receive, route.max_notice_bytes, state.settings.body_wait_s)
        return Response(route.status, _encode(await route.notified(state.shop, Notice(path_ids, headers, body))), JSON)

    async def _read(self, request: RequestContext) -> Response:
        if self._cache is None:
            return await self._query(request)
        return await self._cache.get(request.query, lambda: self._query(request))

    async def _query(self, request: RequestContext) -> Response:
        route = self.route
        read = route.read
        assert read is not None
        found = await self._state.shop.read(lambda connection: read(connection, request), wait_s=route.read_wait_s)
        if found is None and route.pending is not None:
            found = self._pending(request)
        if found is None:
            raise ProblemError(route.missing, "")
        return Response(route.status, _encode(found), JSON)

    def _pending(self, request: RequestContext) -> object | None:
        """An order that is queued and not decided, while the proof in its Location is valid; else None."""
        pending = self.route.pending
        tokens, settings = self._state.tokens, self._state.settings
        since_ms = tokens.proofs.since_ms(request.query.pending, request.path_ids["order_id"], request.user_id)
        if pending is None or since_ms is None or request.now_ms >= since_ms + settings.keep_ms:
            return None
        return pending(request, since_ms)


def _ended(ending: Ending, data: Mapping[str, JsonValue]) -> Response:
    """The response to a command that was accepted and has not ended yet, or has ended badly."""
    if ending.code:
        return problem(ending.code, extra={_GATEWAYS_WORDS.get(name, name): value for name, value in data.items()})
    headers = (*retry_after(1), (b"location", ending.location.encode()))
    return Response(202, _encode(data), JSON, headers)

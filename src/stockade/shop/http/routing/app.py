"""The Litestar application over an open shop.

Litestar routes and answers what is no route; everything else is `endpoint`. Its own parsing, injection and document
are not used: they cost half of a small request, and the routes are data already. A route whose path has no ids is found
by one look into a dictionary, before Litestar: for `POST /v1/orders` that is 87 to 111 µs of CPU a request instead of
136 to 144 (measured without a store). Neighbours: `server` runs it.
"""

from typing import Any

from litestar import Litestar, Request, Response
from litestar.enums import HttpMethod, ScopeType
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.types import Receive, Scope, Send

from stockade.shop.bootstrap import Shop
from stockade.shop.http.responses.problems import problem
from stockade.shop.http.responses.response import Reply, without_body
from stockade.shop.http.routing.app_state import Desk, make_desk
from stockade.shop.http.routing.endpoint import Endpoint
from stockade.shop.http.routing.openapi import document
from stockade.shop.http.routing.routes import ROUTES
from stockade.shop.http.routing.service_routes import operation_handlers
from stockade.shop.operations.logs import logger

_CODES = {400: "INVALID_REQUEST", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}


class Direct:
    """An ASGI application that answers routes without ids itself and leaves the others to the one below.

    HEAD is GET without the body (RFC 9110, 9.3.2): balancers and monitors ask so whether the service is there.

    Args:
        endpoints: by method and exact path.
        below: Litestar.
    """

    def __init__(self, endpoints: dict[tuple[str, str], Endpoint], below: Litestar) -> None:
        self._endpoints = endpoints
        self._below = below

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = None
        if scope["type"] == ScopeType.HTTP:
            if scope["method"] == "HEAD":
                await self({**scope, "method": HttpMethod.GET}, receive, without_body(send))
                return
            endpoint = self._endpoints.get((scope["method"], scope["path"]))
        if endpoint is None:
            await self._below(scope, receive, send)
            return
        scope["path_params"] = {}
        reply = await endpoint.answer(scope, receive)
        await reply(scope, receive, send)


def create_app(shop: Shop) -> tuple[Direct, Desk]:
    """The application, and the desk behind it.

    Args:
        shop: open; it must stay open until the last request is answered.
    """
    desk = make_desk(shop)
    by_path: dict[str, dict[str, Endpoint]] = {}
    for route in ROUTES:
        by_path.setdefault(route.path, {})[route.method] = Endpoint(route, desk)
    handlers = [_handler(path, endpoints) for path, endpoints in by_path.items()]
    below = Litestar(
        [*handlers, *operation_handlers(desk, document(ROUTES))],
        openapi_config=None,
        logging_config=None,
        exception_handlers={HTTPException: _no_route, Exception: _unexpected},
    )
    direct = {(m, path): each for path, ends in by_path.items() if "{" not in path for m, each in ends.items()}
    return Direct(direct, below), desk


def _handler(path: str, endpoints: dict[str, Endpoint]) -> HTTPRouteHandler:
    """One handler for all methods of a path: Litestar's answer to OPTIONS knows those of one handler only.

    HEAD is named for that answer alone; `Direct` has made GET of it before.
    """

    async def handle(request: Request[Any, Any, Any]) -> Reply:
        return await endpoints[request.method].answer(request.scope, request.receive)

    # the status here is only Litestar's check that 204 has no body; every Reply carries its own
    methods: Any = [*endpoints, *(("HEAD",) if "GET" in endpoints else ())]
    return HTTPRouteHandler(path.replace("}", ":str}"), http_method=methods, status_code=200)(handle)


def _no_route(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """What Litestar itself refuses: no such path, not this method, a malformed host."""
    code = _CODES.get(error.status_code)
    if code is None:
        return _unexpected(request, error)
    detail = f"{request.method} {request.url.path}" if code != "INVALID_REQUEST" else error.detail
    return _response(problem(code, detail), error.headers or {})


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    logger().error("unexpected", path=request.url.path, exc_info=error)
    return _response(problem("INTERNAL_ERROR"), {})


def _response(reply: Reply, headers: dict[str, str]) -> Response[bytes]:
    return Response(reply.body, status_code=reply.status, media_type=reply.media_type.decode(), headers=headers)

"""The Litestar application over an open shop.

Litestar routes and answers what is no route; everything else is `endpoint`. Its own parsing, injection and document
are not used: they cost half of a small request, and the routes are data already. Neighbours: `server` runs it.
"""

from typing import Any

from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler

from stockade.shop.http.desk import Desk, make_desk
from stockade.shop.http.endpoint import Endpoint
from stockade.shop.http.openapi import document
from stockade.shop.http.operations import operation_handlers
from stockade.shop.http.problems import problem
from stockade.shop.http.reply import Reply
from stockade.shop.http.route import Route
from stockade.shop.http.routes import ROUTES
from stockade.shop.logs import logger
from stockade.shop.wiring import Shop

_CODES = {400: "INVALID_REQUEST", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}


def create_app(shop: Shop) -> tuple[Litestar, Desk]:
    """The application, and the desk behind it.

    Args:
        shop: open; it must stay open until the last request is answered.
    """
    desk = make_desk(shop)
    by_path: dict[str, list[Route]] = {}
    for route in ROUTES:
        by_path.setdefault(route.path, []).append(route)
    handlers = [_handler(path, routes, desk) for path, routes in by_path.items()]
    app = Litestar(
        [*handlers, *operation_handlers(desk, document(ROUTES))],
        openapi_config=None,
        logging_config=None,
        exception_handlers={HTTPException: _no_route, Exception: _unexpected},
    )
    return app, desk


def _handler(path: str, routes: list[Route], desk: Desk) -> HTTPRouteHandler:
    """One handler for all methods of a path: Litestar's answer to OPTIONS knows those of one handler only."""
    endpoints = {route.method: Endpoint(route, desk) for route in routes}

    async def handle(request: Request[Any, Any, Any]) -> Reply:
        return await endpoints[request.method].answer(request.scope, request.receive)

    # the status here is only Litestar's check that 204 has no body; every Reply carries its own
    methods: Any = list(endpoints)
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

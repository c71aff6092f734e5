"""The ASGI application: Starlette's router finds the path, `MethodRouter` the method, and a handler answers.

Starlette's own request and response classes are not used: handlers read and write ASGI messages. Neighbours: `route`
has the routes as data, `endpoint` handles a request to one of them, `server` runs the application.
"""

import re
from collections.abc import Mapping
from functools import cache

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from stockade.shop.config.addresses import allowed_origins
from stockade.shop.http.responses.problems import problem
from stockade.shop.http.responses.response import Handler, Headers, Response, without_body
from stockade.shop.http.routing.app_state import AppState, make_app_state
from stockade.shop.http.routing.cors import Cors
from stockade.shop.http.routing.docs_page import docs_handlers
from stockade.shop.http.routing.endpoint import Endpoint
from stockade.shop.http.routing.metrics_address import MetricsAddress
from stockade.shop.http.routing.openapi import openapi_document
from stockade.shop.http.routing.routes import ROUTES
from stockade.shop.http.routing.service_routes import service_handlers
from stockade.shop.shop import Shop

_SLASHES = re.compile("/+")


def create_app(shop: Shop, *, metrics_port: int | None = None) -> tuple[ASGIApp, AppState]:
    """The application, and the state that its endpoints share.

    Args:
        shop: open; it must stay open until the last request is answered.
        metrics_port: the only port by which `/metrics` is answered; None: by every port.
    """
    state = make_app_state(shop)
    handlers: dict[str, dict[str, Handler]] = {}
    for route in ROUTES:
        answer: Handler = Endpoint(route, state).answer
        if shop.tracing is not None:
            answer = shop.tracing.request(f"{route.method} {route.path}", answer)
        handlers.setdefault(route.path, {})[route.method] = answer
    for path, handler in service_handlers(state, _document()).items():
        handlers[path] = {"GET": handler}
    for path, handler in docs_handlers(shop.settings.docs_page == "yes").items():
        handlers[path] = {"GET": handler}
    if shop.settings.shop_front != "no":
        from stockade.shop.front import front_handlers  # Jinja2 and the pages, only where they are wanted

        handlers |= front_handlers(state)
    # the router takes the first path that matches: `/v1/products/popular` must stand before `/v1/products/{product_id}`
    paths = sorted(handlers, key=lambda path: ("{" in path, ":path}" in path))
    routes = [_route(path, MethodRouter(handlers[path])) for path in paths]
    app: ASGIApp = Router(routes, redirect_slashes=False, default=_not_found)
    if metrics_port is not None:
        app = MetricsAddress(app, metrics_port)
    if origins := allowed_origins(shop.settings):
        app = Cors(app, origins)
    return _ignore_extra_slashes(app), state


@cache
def _document() -> bytes:
    """The same for each application of the process: to make it takes half of the time of `create_app`."""
    return openapi_document(ROUTES)


class MethodRouter:
    """The ASGI application of one path: calls the handler of the request's method.

    HEAD is GET without the body (RFC 9110, 9.3.2). OPTIONS answers with the methods of the path, any other method is
    refused with the same Allow header.

    Args:
        handlers: by method.
    """

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers
        methods = {"OPTIONS", *handlers, *(["HEAD"] if "GET" in handlers else [])}
        self._allow: Headers = ((b"allow", ", ".join(sorted(methods)).encode()),)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        if method == "HEAD":
            method, send = "GET", without_body(send)
        handler = self._handlers.get(method)
        if handler is not None:
            response = await handler(scope, receive)
        elif method == "OPTIONS":
            response = Response(204, b"", b"", self._allow)
        else:
            response = problem("METHOD_NOT_ALLOWED", f"{scope['method']} {scope['path']}", headers=self._allow)
        await response(scope, receive, send)


def _route(path: str, app: ASGIApp) -> Route:
    route = Route(path, app)
    # Starlette ends its pattern with $, which lets a trailing line feed through
    route.path_regex = re.compile(route.path_regex.pattern.removesuffix("$") + r"\Z")
    return route


def _ignore_extra_slashes(app: ASGIApp) -> ASGIApp:
    """Answers `//v1/orders/` as `/v1/orders`, not with a redirect, which would lose the body of a POST."""

    async def ignore(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if "//" in path or path.endswith("/"):
            scope["path"] = _SLASHES.sub("/", path).rstrip("/") or "/"
        await app(scope, receive, send)

    return ignore


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["method"] == "HEAD":
        send = without_body(send)
    await problem("NOT_FOUND", f"{scope['method']} {scope['path']}")(scope, receive, send)

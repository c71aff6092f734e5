"""Lets web pages of exact origins call the API (the CORS protocol, https://fetch.spec.whatwg.org/#http-cors-protocol).

Without the setting `cors_origins` this module is not in the path of a request. Neighbours: `app` wraps the router with
it; `config.addresses` reads the setting.
"""

from collections.abc import Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stockade.shop.http.responses.response import Headers, Response

KEEP_S = 600  # how long a browser may keep the answer to a preflight; Chromium keeps none longer than two hours
_METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE"
_REQUEST_HEADERS = b"Authorization, Content-Type, Idempotency-Key, Prefer, traceparent, tracestate"
_EXPOSED = b"Idempotent-Replayed, Location, Preference-Applied, Retry-After, WWW-Authenticate, X-Log-Id"
_VARY: Headers = ((b"vary", b"Origin"),)


class Cors:
    """An application whose responses may be read by pages of some origins.

    Credentials of the browser (cookies) are not allowed, because callers authenticate by a bearer token.

    Args:
        app: answers the requests.
        origins: as browsers send them, e.g. `https://shop.example`.
    """

    def __init__(self, app: ASGIApp, origins: Collection[bytes]) -> None:
        self._app, self._origins = app, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = dict(scope["headers"])
        origin = sent.get(b"origin")
        allowed: Headers = _VARY
        if origin in self._origins:
            assert origin is not None
            allowed = (*_VARY, (b"access-control-allow-origin", origin))
            if scope["method"] == "OPTIONS" and b"access-control-request-method" in sent:
                await Response(204, b"", b"", (*allowed, *_PREFLIGHT))(scope, receive, send)
                return
            allowed = (*allowed, (b"access-control-expose-headers", _EXPOSED))

        async def send_allowed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *allowed]
            await send(message)

        await self._app(scope, receive, send_allowed)


_PREFLIGHT: Headers = (
    (b"access-control-allow-methods", _METHODS),
    (b"access-control-allow-headers", _REQUEST_HEADERS),
    (b"access-control-max-age", b"%d" % KEEP_S),
)

"""Who may talk to the page: whoever knows its address. Everything else is refused before anything is read.

- The token is the first part of every path, compared in constant time; a changing request needs it in a header too,
  which no other site can send (there is no CORS).
- The Host header must be an address or `localhost`: a name that an attacker lets point here is none (DNS rebinding).
- A strict Content-Security-Policy, that of `page_headers`; and no address leaves the page, because it has the token.

Neighbour: `app.py` has what is behind.
"""

import ipaddress
import secrets
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stockade.shop.http.responses.page_headers import page_headers

TOKEN_HEADER: Final = "x-stockade-token"  # noqa: S105 - its name
TOKEN_BYTES: Final = 24
MOST_BODY: Final = 16_384
CHANGING: Final = ("POST",)
HEADERS: Final = page_headers("no-store")


def new_token() -> str:
    """A token that nobody can guess."""
    return secrets.token_urlsafe(TOKEN_BYTES)


class Guarded:
    """The application behind all checks.

    Args:
        app: gets the path without the token.
        token: see the module.
        names: of hosts, beside addresses and `localhost`, under which the user has asked to be reached.
    """

    def __init__(self, app: ASGIApp, token: str, names: tuple[str, ...] = ()) -> None:
        self._app, self._token = app, token
        self._names = {"localhost", *map(str.lower, names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # lifespan; there are no web sockets
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, guarded)
            return
        _, slash, rest = scope["path"].removeprefix("/").partition("/")
        if not slash:  # relative addresses need it
            await RedirectResponse(f"/{self._token}/", 307)(scope, receive, guarded)
            return
        path = f"/{rest}"
        await self._app({**scope, "path": path, "raw_path": path.encode(), "root_path": ""}, receive, guarded)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        if not self._is_ours(headers.get("host", "")):
            return PlainTextResponse("this name is not the page's: use the address that the lab printed\n", 421)
        token = scope["path"].removeprefix("/").partition("/")[0]
        if not _same(token, self._token):
            return PlainTextResponse("use the address that the lab printed; it ends with a token\n", 404)
        if scope["method"] in CHANGING:
            return self._refusal_of_change(headers)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("only GET and POST\n", 405, {"allow": "GET, POST"})
        return None

    def _refusal_of_change(self, headers: Headers) -> PlainTextResponse | None:
        if not _same(headers.get(TOKEN_HEADER, ""), self._token):
            return PlainTextResponse(f"the header {TOKEN_HEADER} must have the token\n", 403)
        origin = headers.get("origin", "")
        if origin and origin.partition("://")[2] != headers.get("host", ""):
            return PlainTextResponse("another site may not do that\n", 403)
        length = headers.get("content-length", "")
        if not length.isdecimal() or int(length) > MOST_BODY:
            return PlainTextResponse(f"a body has a Content-Length, of at most {MOST_BODY} bytes\n", 413)
        return None

    def _is_ours(self, host: str) -> bool:
        """Whether a Host header names an address, or a name that is ours; with or without a port."""
        name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
        if name.lower() in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _same(given: str, right: str) -> bool:
    return secrets.compare_digest(given.encode(), right.encode())

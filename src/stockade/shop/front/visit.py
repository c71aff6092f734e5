"""One request to a page: who sends it, in which language, and how it is answered.

Neighbours: `handlers` makes it and answers what went wrong; the functions of `pages` use it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
from sqlalchemy import Connection

from stockade.core.clock import now_ms
from stockade.identity import Identity
from stockade.shop import queries
from stockade.shop.config.strategy_choice import chosen_strategy
from stockade.shop.front.forms import Fields, new_key
from stockade.shop.front.languages import Words
from stockade.shop.front.own_addresses import HOME, OwnAddresses
from stockade.shop.front.rendering import HTML, OWN_PAGE, money, render
from stockade.shop.front.sessions import Session, Sessions
from stockade.shop.http.responses.error_codes import ERROR_CODES
from stockade.shop.http.responses.response import JSON, Headers, Response
from stockade.shop.http.routing.app_state import AppState
from stockade.shop.http.routing.endpoint import Endpoint

T = TypeVar("T")
Endpoints = Mapping[tuple[str, str], Endpoint]
_AGAIN_FROM = 429  # statuses from here on say that the same address may answer later
_NO_PURSE: dict[str, Any] = {"points": None, "in_basket": None}


class Answer(msgspec.Struct, frozen=True):
    """What a command was answered, as the API would answer it.

    Attributes:
        status: of HTTP.
        data: the body's members; empty without a body.
        location: where the outcome will be; empty for none.
        replayed: whether the same request was carried out before.
    """

    status: int
    data: dict[str, Any]
    location: str = ""
    replayed: bool = False

    @property
    def code(self) -> str:
        """The error code; empty when it was accepted."""
        return str(self.data["code"]) if self.status >= 400 else ""


@dataclass(slots=True)
class Visit:
    """One request.

    Attributes:
        state: of the application.
        endpoints: of the commands, by method and route.
        sessions: signs cookies and forms.
        session: of the visitor; of nobody where there was none.
        words: of the visitor's language.
        addresses: of the pages.
        method: of the request.
        path: of the request.
        path_ids: the ids in the path, by name.
        host: the Host header.
        secure: whether the browser speaks TLS with the service, or with the proxy before it.
        by_script: whether the script of the page sends it, and wants to hear where to go.
        query: the query string; empty until it is read.
        form: the body; empty until it is read.
        cookies: Set-Cookie headers of the response.
    """

    state: AppState
    endpoints: Endpoints
    sessions: Sessions
    session: Session
    words: Words
    addresses: OwnAddresses
    method: str
    path: str
    path_ids: dict[str, str]
    host: str
    secure: bool
    by_script: bool
    query: Fields = field(default_factory=lambda: Fields([]))
    form: Fields = field(default_factory=lambda: Fields([]))
    cookies: list[bytes] = field(default_factory=list)

    @property
    def caller(self) -> Identity:
        """Who has signed in, as the commands know it."""
        session = self.session
        return Identity(session.user_id, session.admin, session.latest_s, session.user_id)

    @property
    def user_id(self) -> str:
        """The user id of who has signed in; empty: nobody."""
        return self.session.user_id

    @property
    def owner(self) -> str | None:
        """The user whose orders the visitor may see; None, everyone's, for administrators."""
        return None if self.session.admin else self.session.user_id

    @property
    def gateway(self) -> str:
        """The payment gateway of the settings; empty for none."""
        return "" if self.state.settings.gateway == "none" else self.state.settings.gateway

    async def read(self, query: Callable[[Connection], T], *, wait_s: float | None = None) -> T:
        """Run a query; raises as `Shop.read`."""
        return await self.state.shop.read(query, wait_s=wait_s)

    async def command(self, method: str, route: str, ids: dict[str, str], body: Mapping[str, object]) -> Answer:
        """Carry out the command of a route of the API, with the key of the form; raises as `Endpoint.call`."""
        response = await self.endpoints[method, route].call(self.caller, ids, body, self.form.text("key"))
        headers = dict(response.headers)
        data = msgspec.json.decode(response.body) if response.body else {}
        location = headers.get(b"location", b"").decode()
        return Answer(response.status, data, location, b"idempotent-replayed" in headers)

    def set_cookie(self, name: str, value: str, max_age_s: int) -> None:
        """Give the browser a cookie that no script and no other site can use; 0 seconds takes it away."""
        secure = "; Secure" if self.secure else ""
        text = f"{name}={value}; Path=/shop; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{secure}"
        self.cookies.append(text.encode())

    async def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page, with what every page shows around it."""
        shown = {**self._around(status), **await self._purse(), **values}
        return self._response(status, render(template, self.words, shown), HTML)

    def plain_page(self, template: str, status: int, headers: Headers, **values: Any) -> Response:
        """A page for which nothing is read: it may have to say that nothing can be."""
        shown = {**self._around(status), **_NO_PURSE, **values}
        return self._response(status, render(template, self.words, shown), HTML, headers)

    def here(self, status: int = 200) -> str:
        """Where a link on this page leads back to: an address that GET answers with a page.

        Args:
            status: with which this page is answered.
        """
        if status in (403, 404):  # what is not there for this visitor will not be there later
            return HOME
        if self.method != "POST" and (status < 400 or status >= _AGAIN_FROM) and self.query.pairs:
            return self.addresses.own(f"{self.path}?{urlencode(self.query.pairs)}")
        return self.addresses.page_at(self.path)

    def go(self, path: str, **query: object) -> Response:
        """To another page, after a form: a reload of that page does not send the form again."""
        given = {name: value for name, value in query.items() if value not in ("", None)}
        url = f"{path}?{urlencode(given)}" if given else path
        if self.by_script:
            return self._response(200, msgspec.json.encode({"go": url}), JSON)
        return self._response(303, b"", HTML, ((b"location", url.encode()),))

    def tell(self, status: int, members: Mapping[str, Any], headers: Headers = ()) -> Response:
        """What the script of the page asked for."""
        return self._response(status, msgspec.json.encode(members), JSON, headers)

    def sentence(self, code: str) -> str:
        """What an error code means, for a buyer."""
        known = ERROR_CODES.get(code)
        return self.words.known(f"code.{code}", known.title if known else self.words("code.OTHER"))

    def _response(self, status: int, body: bytes, media_type: bytes, headers: Headers = ()) -> Response:
        cookies = tuple((b"set-cookie", each) for each in self.cookies)
        return Response(status, body, media_type, (*OWN_PAGE, *headers, *cookies))

    def _around(self, status: int) -> dict[str, Any]:
        settings = self.state.settings
        return {
            "user_id": self.user_id,
            "admin": self.session.admin,
            "form_token": self.sessions.form_token(self.session),
            "path": self.path,
            "here": self.here(status),
            "query": self.query,
            "money": lambda amount: money(amount, settings.currency, self.words),
            "new_key": lambda: new_key(now_ms()),
            "sentence": self.sentence,
            "demo": settings.shop_front == "demo",
            "gateway": self.gateway,
            "strategy": chosen_strategy(settings, "stock"),
            "docs_page": settings.docs_page == "yes",
        }

    async def _purse(self) -> dict[str, Any]:
        """What stands in the head of a page: points and basket."""
        user_id = self.user_id
        if not user_id:
            return _NO_PURSE

        def read(conn: Connection) -> dict[str, Any]:
            account = queries.points(conn, user_id)
            items = queries.cart(conn, user_id, limit=queries.MAX_LIMIT).items
            return {"points": account.available if account else 0, "in_basket": len(items)}

        return await self.read(read)

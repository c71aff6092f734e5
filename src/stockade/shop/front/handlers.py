"""Answers every request to a page: its session and its form are checked, and whatever happens, a person can read it.

The order of the checks is that of their cost, as in `http.routing.endpoint`. Neighbours: `pages` has the routes,
`visit` is one request.
"""

import asyncio
import time
from dataclasses import dataclass, field

from starlette.types import Receive, Scope

from stockade.core.clock import now_ms
from stockade.shop.front import languages
from stockade.shop.front.forms import (
    FORM,
    MAX_FIELDS,
    MAX_PARAMETERS,
    SHOWN_ON,
    Fields,
    cookies_of,
    header,
    read_fields,
)
from stockade.shop.front.languages import LANGUAGES, Words
from stockade.shop.front.own_addresses import OwnAddresses
from stockade.shop.front.page_route import PageRoute
from stockade.shop.front.pages import PAGES
from stockade.shop.front.pages.catalog import LANGUAGE
from stockade.shop.front.pages.problem import problem_page, sentence_of
from stockade.shop.front.pages.sign_in import SIGN_IN
from stockade.shop.front.rendering import ASSETS, asset_response
from stockade.shop.front.sessions import COOKIE, FORM_TOKEN, Sessions
from stockade.shop.front.visit import Endpoints, Visit
from stockade.shop.http.requests.accept_language import language_for
from stockade.shop.http.requests.authorization import Access
from stockade.shop.http.requests.request_parsing import ClientDisconnected, read_body
from stockade.shop.http.responses.problems import ProblemError, error_response, problem, unexpected
from stockade.shop.http.responses.response import Handler, Response
from stockade.shop.http.routing.app_state import AppState
from stockade.shop.http.routing.concurrency_limit import ConcurrencyLimit
from stockade.shop.http.routing.endpoint import Endpoint
from stockade.shop.http.routing.routes import ROUTES

MAX_REFUSED = 64  # requests above `max_in_flight` whose form is read at once; the pages of the others offer no form
REFUSED_WAIT_S = 0.5  # how long such a form may take to arrive


def front_handlers(state: AppState) -> dict[str, dict[str, Handler]]:
    """The handlers of all pages, by path and method.

    Args:
        state: of the application.
    """
    endpoints = {(route.method, route.path): Endpoint(route, state) for route in ROUTES if route.command is not None}
    paths = [
        each.path for each in PAGES if each.method == "GET" and each.path != LANGUAGE and ":path}" not in each.path
    ]
    front = _Front(state, endpoints, Sessions(state.tokens.secrets), OwnAddresses(paths))
    handlers: dict[str, dict[str, Handler]] = {}
    for route in PAGES:
        answer: Handler = _Page(route, front).answer
        if state.shop.tracing is not None:
            answer = state.shop.tracing.request(f"{route.method} {route.path}", answer)
        handlers.setdefault(route.path, {})[route.method] = answer
    for path, by_method in handlers.items():
        if "GET" not in by_method:  # whoever opens the address of a form gets the page that has it
            by_method["GET"] = _Page(PageRoute("GET", path, _to_its_page, Access.ANYONE), front).answer
    for name in ASSETS:
        handlers[f"/shop/assets/{name}"] = {"GET": _asset(name)}
    return handlers


async def _to_its_page(visit: Visit) -> Response:
    return visit.go(visit.here())


def _asset(name: str) -> Handler:
    async def answer(scope: Scope, receive: Receive) -> Response:
        return asset_response(name)

    return answer


@dataclass(frozen=True, slots=True)
class _Front:
    """What all pages share."""

    state: AppState
    endpoints: Endpoints
    sessions: Sessions
    addresses: OwnAddresses
    refused: ConcurrencyLimit = field(default_factory=lambda: ConcurrencyLimit(MAX_REFUSED))

    def visit(self, scope: Scope) -> Visit:
        """The request as far as its head tells; the form is read later."""
        now_s = now_ms() // 1000
        cookies = cookies_of(scope)
        found = self.sessions.read(cookies.get(COOKIE, ""), now_s)
        session = found or self.sessions.begin(now_s)
        chosen = language_for(cookies.get(languages.COOKIE, ""), header(scope, b"accept-language"), LANGUAGES)
        # what a client writes into this header itself only makes its own cookie stricter
        secure = "https" in (scope["scheme"], header(scope, b"x-forwarded-proto").partition(",")[0].strip())
        visit = Visit(
            state=self.state,
            endpoints=self.endpoints,
            sessions=self.sessions,
            session=session,
            words=Words(chosen),
            addresses=self.addresses,
            method=scope["method"],
            path=scope["path"],
            path_ids=dict(scope["path_params"]),
            host=header(scope, b"host"),
            secure=secure,
            by_script="application/json" in header(scope, b"accept"),
        )
        later = self.sessions.renewed(session, now_s)
        if found is None or later is not None:
            kept = later or session
            visit.set_cookie(COOKIE, self.sessions.sign(kept), kept.ends_s - now_s)
        return visit


class _Page:
    """Answers the requests to one page."""

    def __init__(self, route: PageRoute, front: _Front) -> None:
        self._route, self._front, self._state = route, front, front.state
        self._label = f"{route.method} {route.path}"

    async def answer(self, scope: Scope, receive: Receive) -> Response:
        """The response to one request; see `Endpoint.answer`."""
        begun_s = time.perf_counter()
        concurrency = self._state.concurrency
        visit = self._front.visit(scope)
        entered = False
        try:
            try:
                concurrency.enter()
            except ProblemError:
                await self._read_refused_form(visit, scope, receive)
                raise
            entered = True
            response = await self._respond(visit, scope, receive)
        except Exception as error:  # noqa: BLE001  # the edge: whatever happens, the visitor gets a page
            response = problem_page(visit, self._read(error, scope), sentence_of(visit, error))
        except asyncio.CancelledError:
            if not concurrency.stopping:
                raise
            response = problem_page(visit, problem("NOT_READY", outcome="unknown"))
        finally:
            if entered:
                concurrency.leave()
        self._state.metrics.request(self._label, response.status, time.perf_counter() - begun_s)
        return response

    def _read(self, error: Exception, scope: Scope) -> Response:
        if isinstance(error, ClientDisconnected):
            return problem("INVALID_REQUEST", "the connection was closed before the form had arrived")
        return error_response(error) or unexpected(error, route=self._label, path=scope["path"])

    async def _respond(self, visit: Visit, scope: Scope, receive: Receive) -> Response:
        route = self._route
        visit.query = read_fields(scope["query_string"].decode("latin-1"), MAX_PARAMETERS)
        if route.method == "POST":
            form, ours = await self._form(visit, scope, receive, self._state.settings.body_wait_s)
            if not ours and not visit.user_id:  # the session has ended while the page was open
                return visit.go(SIGN_IN, ended="yes", back=self._page_of(visit, form))
            if not ours:  # nothing of it is offered again
                refusal = problem("FORBIDDEN", "the form is not from a page of this session")
                return problem_page(
                    visit, refusal, visit.words("problem.other_session"), here=self._page_of(visit, form)
                )
            visit.form = form
        if route.access is not Access.ANYONE and not visit.user_id:
            return visit.go(SIGN_IN, back=visit.here())
        if route.access is Access.ADMIN and not visit.session.admin:
            return problem_page(visit, problem("FORBIDDEN"), visit.words("problem.admins_only"))
        return await route.make(visit)

    def _page_of(self, visit: Visit, form: Fields) -> str:
        """The page that had a form, by the form itself; a made-up one leads to a page of the shop all the same."""
        if self._route.access is Access.ANYONE:  # to sign in: where that was to lead
            return visit.addresses.own(form.text("back"))
        return visit.addresses.own(form.text(SHOWN_ON) or visit.here())

    async def _form(self, visit: Visit, scope: Scope, receive: Receive, wait_s: float) -> tuple[Fields, bool]:
        """The form, and whether a page of this session made it."""
        _require_same_origin(scope, visit)
        if header(scope, b"content-type").partition(";")[0].strip().lower() != FORM:
            raise ProblemError("UNSUPPORTED_MEDIA_TYPE", f"a form is sent as {FORM}")
        raw = await read_body(receive, self._state.settings.max_body_kib * 1024, wait_s)
        form = read_fields(raw.decode("latin-1"), MAX_FIELDS)
        return form, visit.sessions.is_form_token(form.text(FORM_TOKEN), visit.session)

    async def _read_refused_form(self, visit: Visit, scope: Scope, receive: Receive) -> None:
        """Read the form of a request above `max_in_flight`, so that the page of its refusal can offer it again."""
        refused = self._front.refused
        if self._route.method != "POST" or refused.in_flight >= MAX_REFUSED:
            return
        refused.enter()
        try:
            form, ours = await self._form(visit, scope, receive, REFUSED_WAIT_S)
            visit.form = form if ours else visit.form
        except (ProblemError, ClientDisconnected):
            pass  # the refusal stands; a form that is late or not in order is not offered again
        finally:
            refused.leave()


def _require_same_origin(scope: Scope, visit: Visit) -> None:
    """Refuse a form that another site had the browser send (Fetch Metadata; older browsers: Origin).

    Raises:
        ProblemError: FORBIDDEN.
    """
    site = header(scope, b"sec-fetch-site")
    origin = header(scope, b"origin")
    if site not in ("", "none", "same-origin") or (origin and origin.partition("://")[2] != visit.host):
        raise ProblemError("FORBIDDEN", "the form was sent by another site")

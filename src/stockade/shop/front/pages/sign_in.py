"""Sign in with a token, or in a demo by one click; sign out.

The token itself is not kept: the session has who it names, and ends with it at the latest. Neighbour: `sessions`.
"""

from typing import Final

from stockade.core.clock import now_ms
from stockade.identity import BadToken
from stockade.identity.user_ids import user_id_of
from stockade.shop.config.addresses import is_loopback
from stockade.shop.front.page_route import PageRoute
from stockade.shop.front.sessions import COOKIE
from stockade.shop.front.visit import Visit
from stockade.shop.http.requests.authorization import Access
from stockade.shop.http.responses.problems import ProblemError
from stockade.shop.http.responses.response import Response

SIGN_IN: Final = "/shop/sign-in"
DEMO_USERS: Final = ("user-1", "user-2", "user-3")
DEMO_ADMIN: Final = "admin"


async def _form(visit: Visit, *, status: int = 200, wrong: str = "") -> Response:
    return await visit.page(
        "sign_in",
        status,
        wrong=wrong,
        ended=visit.query.text("ended") == "yes",
        back=visit.addresses.own(visit.query.text("back") or visit.form.text("back")),
        demo_users=DEMO_USERS if visit.state.settings.shop_front == "demo" else (),
        demo_admin=DEMO_ADMIN,
    )


async def _page(visit: Visit) -> Response:
    return await _form(visit)


async def _sign_in(visit: Visit) -> Response:
    token = visit.form.text("token").removeprefix("Bearer ").strip()
    try:
        who = await visit.state.tokens.verifier.verify(token)
    except BadToken as bad:
        return await _form(visit, status=401, wrong=str(bad))
    return _begin(visit, who.user_id, admin=who.admin, latest_s=int(who.expires_s))


async def _demo(visit: Visit) -> Response:
    host = visit.host.rpartition(":")[0] if visit.host.rpartition(":")[2].isdigit() else visit.host
    if visit.state.settings.shop_front != "demo" or not is_loopback(host):  # another name may be led here (rebinding)
        raise ProblemError("FORBIDDEN", "sign-in by one click is for a demo on this machine")
    user = visit.form.text("user")
    if user not in (*DEMO_USERS, DEMO_ADMIN):
        raise ProblemError("INVALID_REQUEST", "the demo has no such user")
    return _begin(visit, user_id_of(user), admin=user == DEMO_ADMIN, latest_s=0)


def _begin(visit: Visit, user_id: str, *, admin: bool, latest_s: int) -> Response:
    now_s = now_ms() // 1000
    session = visit.sessions.begin(now_s, user_id, admin=admin, latest_s=latest_s)
    visit.set_cookie(COOKIE, visit.sessions.sign(session), max(session.ends_s - now_s, 0))
    return visit.go(visit.addresses.own(visit.form.text("back")))


async def _sign_out(visit: Visit) -> Response:
    visit.set_cookie(COOKIE, "", 0)
    return visit.go("/shop")


SIGN_IN_PAGES = (
    PageRoute("GET", SIGN_IN, _page, Access.ANYONE),
    PageRoute("POST", SIGN_IN, _sign_in, Access.ANYONE),
    PageRoute("POST", "/shop/sign-in/demo", _demo, Access.ANYONE),
    PageRoute("POST", "/shop/sign-out", _sign_out),
)

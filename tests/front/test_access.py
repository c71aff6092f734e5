"""Who may have each page and send each form: every route of `PAGES`, by everybody, with right and with forged forms.

One application serves all tests here; what a test changes belongs to that test alone. Neighbour: `test_protection.py`.
"""

import html
import re
import sqlite3
from contextlib import closing
from urllib.parse import urlencode

import httpx2
import pytest
import pytest_asyncio

from stockade.core.clock import now_ms
from stockade.shop.front.forms import SHOWN_ON
from stockade.shop.front.pages import PAGES
from stockade.shop.front.sessions import FORM_TOKEN, Sessions
from tests.front.conftest import visiting
from tests.http.conftest import make_schema

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANYONE, USER, ADMIN = {"nobody", "ann", "root"}, {"ann", "root"}, {"root"}
MAY = {
    "GET /": ANYONE,
    "GET /shop": ANYONE,
    "GET /shop/products/{product_id}": ANYONE,
    "GET /shop/language": ANYONE,
    "GET /shop/basket": USER,
    "POST /shop/basket": USER,
    "POST /shop/basket/remove": USER,
    "POST /shop/orders": USER,
    "GET /shop/orders": USER,
    "GET /shop/orders/{order_id}": USER,
    "POST /shop/orders/{order_id}/cancel": USER,
    "POST /shop/orders/{order_id}/pay": USER,
    "GET /shop/points": USER,
    "POST /shop/points": USER,
    "GET /shop/charges/{charge_id}": USER,
    "POST /shop/charges/{charge_id}/confirm": USER,
    "GET /shop/sign-in": ANYONE,
    "POST /shop/sign-in": ANYONE,
    "POST /shop/sign-in/demo": ANYONE,
    "POST /shop/sign-out": USER,
    "GET /shop/admin": ADMIN,
    "POST /shop/admin/stock": ADMIN,
    "GET /shop/admin/audit": ADMIN,
    "POST /shop/admin/audit": ADMIN,
    "GET /shop/admin/events": ADMIN,
    "POST /shop/admin/events": ADMIN,
    "GET /shop/{rest:path}": ANYONE,
}
FORMS = [route for route in MAY if route.startswith("POST")]
OWNED = [route for route in MAY if "_id}" in route and "product" not in route]
# these change nothing in the database, or need a gateway for it: who signs in, and what an audit finds
NO_ROWS = {f"POST /shop/{each}" for each in ("sign-in", "sign-in/demo", "sign-out", "admin/audit", "admin/events")}
NO_ROWS |= {"POST /shop/charges/{charge_id}/confirm"}
ACTED_ON = r'INTO "?(orders|order_lines|point_charges|payments|skus|point_accounts)"? '  # a refusal itself is recorded
MAX_REDIRECTS = 5
CROSS_SITE = ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"})


class Shop:
    """The application, and whoever sends a request to it."""

    def __init__(self, api, http, file):
        self.api, self.http, self.file = api, http, file
        self.sessions = Sessions(api.state.tokens.secrets)

    def session(self, who):
        """A session of a user, of an administrator, or of a visitor who has not signed in."""
        return self.sessions.begin(now_ms() // 1000, "" if who == "nobody" else who, admin=who == "root")

    async def fill(self):
        """Something of ann's to act on, all of it new: the ids of paths, and a form with the fields of every route."""
        api = self.api
        (sku,) = await api.product()
        listed = (await api.get("/v1/products?limit=100")).json()["items"]
        ids = {"product_id": next(each["id"] for each in listed if each["skus"][0]["id"] == sku), "rest:path": "x"}
        ids["order_id"] = (await api.order(sku, pay="LATER")).json()["order_id"]
        opened = await api.post("/v1/users/ann/point-charges", {"amount": 5, "method": "PG"})
        ids["charge_id"] = opened.json()["charge_id"]
        token = api.state.tokens.issuer.issue("mallory", valid_s=600)
        fields = {"sku": sku, "quantity": "1", "price": "1000", "amount": "5", "method": "INSTANT", "user": "user-1"}
        return ids, {
            **fields,
            "token": token,
            "delta": "1",
            "event": "1",
            "reason": "x",
            "card": "card",
            "key": f"key-{sku}",
        }

    async def send(self, route, ids, session, fields=(), **headers):
        """One request of a session, without any other cookie."""
        method, path = route.split(" ")
        given = {"Cookie": f"stockade_session={self.sessions.sign(session)}", **headers}
        given.setdefault("Content-Type", "application/x-www-form-urlencoded")
        self.http.cookies.clear()
        content = urlencode(dict(fields)) if method == "POST" else None
        return await self.http.request(method, path.format_map(Filled(ids)), headers=given, content=content)

    async def reached(self, session, address):
        """The status of the page to which an address leads, however often it is redirected."""
        for _ in range(MAX_REDIRECTS):
            self.http.cookies.clear()
            cookie = {"Cookie": f"stockade_session={self.sessions.sign(session)}"}
            answer = await self.http.get(address, headers=cookie)
            if answer.status_code != 303:
                return answer.status_code
            address = answer.headers["location"]
        pytest.fail(f"{address} leads nowhere")

    def rows(self, of=""):
        """The rows of the database, of all tables or of those that `of` matches; no heartbeats, which come by time."""
        with closing(sqlite3.connect(self.file)) as opened:
            inserts = [row for row in opened.iterdump() if row.startswith("INSERT") and "guards_in_use" not in row]
        found = [row for row in inserts if re.search(of, row)]
        assert found
        return found


class Filled(dict):
    """`{rest:path}` is a name and a format."""

    def __missing__(self, name):
        class Rest:
            def __format__(self, kind):
                return "nothing"

        return Rest()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory):
    """One application for all tests of this file, under a name of this machine, so that the demo's sign-in works."""
    folder = tmp_path_factory.mktemp("shop")
    file = folder / "shop.sqlite"
    await make_schema(f"sqlite:///{file}")
    gateway = {"gateway": "test", "gateway_url": "http://127.0.0.1:1"}
    async with visiting(f"sqlite:///{file}", folder, shop_front="demo", **gateway) as ann:
        await ann.api.charge()
        transport = ann.api.http._transport
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            yield Shop(ann.api, http, file)


def to_sign_in(answer):
    """Whether a visitor is sent to sign in."""
    return answer.status_code == 303 and answer.headers["location"].startswith("/shop/sign-in")


def signed_in(answer):
    """Whether an answer gives the browser a session of somebody."""
    return re.search(r"stockade_session=(?!;)", answer.headers.get("set-cookie", "")) is not None


async def test_every_route_is_in_the_list():
    """A new page is refused here until the list says who may have it."""
    assert [f"{route.method} {route.path}" for route in PAGES] == list(MAY)


async def test_a_form_of_another_session_leads_back_to_its_page(shop):
    """Nothing of it is sent again; the page that had it is one click away, and not the list of products."""
    ids, fields = await shop.fill()
    session, page = shop.session("ann"), f"/shop/products/{ids['product_id']}"
    strange = shop.sessions.form_token(shop.session("mallory"))
    answer = await shop.send("POST /shop/basket", ids, session, {**fields, FORM_TOKEN: strange, SHOWN_ON: page})
    assert answer.status_code == 403
    assert f'<a class="button" href="{page}">' in answer.text


@pytest.mark.parametrize("route", MAY)
async def test_who_may_have_it(shop, route):
    """Whoever may not is sent to sign in, or refused with 403, and nothing changes; whoever may is not."""
    ids, fields = await shop.fill()
    before = shop.rows()
    for who in ("nobody", "ann", "root"):
        session = shop.session(who)
        right = {**fields, FORM_TOKEN: shop.sessions.form_token(session)}
        if who in MAY[route]:
            continue
        answer = await shop.send(route, ids, session, right)
        assert to_sign_in(answer) if who == "nobody" else answer.status_code == 403, who
        if who == "ann":
            assert "Only an administrator may see this page." in answer.text
    assert shop.rows() == before
    for who in sorted(MAY[route] - {"ann"}) + sorted(MAY[route] & {"ann"}):
        session = shop.session(who)
        answer = await shop.send(route, ids, session, {**fields, FORM_TOKEN: shop.sessions.form_token(session)})
        assert answer.status_code not in (403, 500), who
        assert not to_sign_in(answer), who


@pytest.mark.parametrize("route", FORMS)
async def test_a_forged_form_does_nothing(shop, route):
    """Without the token of this session, with that of another one (also of an attacker's, to sign the visitor in as the
    attacker), or from another site: refused, no row changes, nobody is signed in. The control: the right form acts."""
    ids, fields = await shop.fill()
    who = "root" if MAY[route] == ADMIN else "ann"
    before = shop.rows()
    for session in (shop.session(who), shop.session("nobody")):
        right = {**fields, FORM_TOKEN: shop.sessions.form_token(session)}
        others = [shop.sessions.form_token(shop.session(each)) for each in (who, "nobody", "mallory")]
        forged = [(fields, {}), *(({**fields, FORM_TOKEN: token}, {}) for token in (*others, "", "é"))]
        forged += [(right, headers) for headers in CROSS_SITE]
        for sent, headers in forged:
            answer = await shop.send(route, ids, session, sent, **headers)
            assert answer.status_code == 403 or (not session.user_id and to_sign_in(answer)), (sent, headers)
            assert not signed_in(answer)
            assert fields["key"] not in answer.text
        plain = await shop.send(route, ids, session, right, **{"Content-Type": "text/plain"})
        assert plain.status_code == 415
    assert shop.rows() == before
    session = shop.session(who)
    origin = {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1"}
    acted = await shop.send(route, ids, session, {**fields, FORM_TOKEN: shop.sessions.form_token(session)}, **origin)
    assert shop.rows() != before or route in NO_ROWS
    assert signed_in(acted) == (route in ("POST /shop/sign-in", "POST /shop/sign-in/demo"))


def ways_back(answer):
    """Where an answer leads back to: the address that it redirects to, or those of its links to this page."""
    if answer.status_code == 303:
        return [answer.headers["location"]]
    return [
        html.unescape(each) for each in re.findall(r'href="(/shop/language\?to=ko[^"]*|[^"]*back=[^"]*)"', answer.text)
    ]


@pytest.mark.parametrize("route", FORMS)
async def test_every_way_back_from_a_form_is_a_page(shop, route):
    """However a form is answered, its links and its address lead GET to a page; the control: no other address does."""
    ids, fields = await shop.fill()
    nothing = {**ids, "order_id": "0" * 26, "charge_id": "0" * 26}
    for who in ("nobody", "root" if MAY[route] == ADMIN else "ann"):
        session = shop.session(who)
        token = {FORM_TOKEN: shop.sessions.form_token(session)}
        for answer in (
            await shop.send(route, ids, session, token),
            await shop.send(route, ids, session, fields),
            await shop.send(route, nothing, session, {**fields, **token}),
            await shop.send(route, ids, session, {**fields, **token}, **{"Content-Type": "text/plain"}),
            await shop.send(route, ids, session, {**fields, **token}),
        ):
            assert ways_back(answer)
            for address in ways_back(answer):
                assert await shop.reached(session, address) == 200, (who, answer.status_code, address)
    assert await shop.reached(session, route.split()[1].format_map(Filled(ids))) == 200
    assert await shop.reached(session, "/shop/nothing") == 404


@pytest.mark.parametrize("route", OWNED)
async def test_what_belongs_to_another_user_is_not_there(shop, route):
    """404 for another user, as for an id that nobody has, and no order and no charge changes; its owner has it."""
    ids, fields = await shop.fill()
    before = shop.rows(ACTED_ON)
    for path_ids in (ids, {**ids, "order_id": "0" * 26, "charge_id": "0" * 26}):
        session = shop.session("bob")
        fields["key"] += "-other"
        answer = await shop.send(route, path_ids, session, {**fields, FORM_TOKEN: shop.sessions.form_token(session)})
        assert answer.status_code == 404
    assert shop.rows(ACTED_ON) == before
    session = shop.session("ann")
    own = await shop.send(route, ids, session, {**fields, FORM_TOKEN: shop.sessions.form_token(session)})
    assert own.status_code != 404

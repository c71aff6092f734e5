"""What protects visitors: headers, escaping, cookies, forms that nobody else can send, and what belongs to whom."""

import base64
import json
import re
import subprocess
import sys
from urllib.parse import quote

import httpx2
import pytest
from sqlalchemy import update

from stockade.shop.config.settings import BadSetting
from stockade.shop.front.sessions import SESSION_S, Sessions
from stockade.shop.model.tables import skus
from stockade.store.schema.tables import outbox
from tests.cli.service import Service
from tests.front.conftest import visiting

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'{{ 7*7 }}"
PAGES = ("/shop", "/shop/basket", "/shop/orders", "/shop/points", "/shop/sign-in", "/shop/nothing")


def inline(html):
    """What a strict policy would block: scripts and styles within a page."""
    return re.findall(r"<style|<script(?! src=)| style=| on\w+=|javascript:", html)


async def test_every_page_lets_the_browser_load_from_here_only(ann):
    """Each page has the policy and no inline script or style; pages of a session are kept nowhere."""
    _, sku = await ann.product()
    await ann.send("/shop/points", "/shop/points")
    made = await ann.api.order(sku)
    for path in (*PAGES, f"/shop/orders/{made.json()['order_id']}"):
        page = await ann.get(path)
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "form-action 'self'" in policy
        assert "'unsafe" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["cache-control"] == "no-store"
        assert inline(page.text) == [], path
    assert inline("<b onclick=x>"), "the search finds nothing"
    style = re.search(r'href="(/shop/assets/front.css[^"]*)"', (await ann.get("/shop")).text)[1]
    assert (await ann.get(style)).headers["content-type"].startswith("text/css")


async def test_a_hostile_text_is_text(ann):
    """Whatever a user, an administrator, a sink or an address wrote is shown as it was written, and never run."""
    admin = ann.api.as_user("root", admin=True)
    body = {"name": HOSTILE, "category": HOSTILE[:100], "skus": [{"price": 10, "stock": 5}]}
    made = (await admin.post("/v1/products", body)).json()
    sku = made["skus"][0]["id"]
    order = (await ann.api.order(sku)).json()["order_id"]
    path = f"/shop/orders/{order}"
    await ann.send(f"/shop/products/{made['id']}", "/shop/basket")
    assert (await ann.send(path, f"{path}/cancel", reason=HOSTILE)).status_code == 303
    shown = ["/shop", f"/shop?q={quote(HOSTILE)}", f"/shop/products/{made['id']}", "/shop/basket", path, "/shop/orders"]
    for each in shown:
        assert_is_text((await ann.get(each)).text)
    for address in (f"/shop/{quote(HOSTILE)}", f"{path}?notice={quote(HOSTILE)}", f"/shop?cursor={quote(HOSTILE)}"):
        assert_is_text((await ann.get(address)).text, shown=False)
    for statement in (
        update(outbox).values(state="DEAD", error=HOSTILE, key=HOSTILE),
        update(skus).where(skus.c.id == sku).values(id=HOSTILE, on_hand=999),
    ):
        await ann.api.state.shop.database.write(lambda conn, wanted=statement: conn.execute(wanted), timeout_s=5)
    await ann.sign_in("root", admin=True)
    assert_is_text((await ann.get("/shop/admin/events")).text)
    assert_is_text((await ann.get("/shop/admin")).text)
    found = (await ann.send("/shop/admin/audit", "/shop/admin/audit")).text
    assert "Broken rules" in found
    assert_is_text(found)
    refused = await ann.send("/shop/admin", "/shop/admin/stock", delta=-99, reason=HOSTILE)
    assert refused.status_code == 400
    assert_is_text(refused.text, shown=False)
    assert_is_text((await ann.send("/shop/sign-in", "/shop/sign-in", token=HOSTILE)).text, shown=False)


def assert_is_text(page, *, shown=True):
    """A page runs nothing of `HOSTILE`; `shown`: it has it as text."""
    assert "<script>alert" not in page
    assert "<img" not in page
    assert not shown or ("&lt;script&gt;alert(1)&lt;/script&gt;" in page and "{{ 7*7 }}" in page)


async def test_the_cookie_is_for_the_browser_alone(visit):
    """No script and no other site gets it, it is Secure behind TLS, it ends soon, and the token is not in it."""
    async with visit() as ann:
        answer = await ann.sign_in()
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("stockade_session=")
        for flag in ("HttpOnly", "SameSite=Strict", "Path=/shop", f"Max-Age={SESSION_S}"):
            assert flag in cookie
        assert "Secure" not in cookie
        said = json.loads(base64.urlsafe_b64decode(cookie.partition("=")[2].partition(".")[0] + "=="))
        assert said["user_id"] == "ann"
        assert not re.search(r"eyJ.*\..*\..*", cookie)
        ann.http.cookies.clear()
        tls = await ann.get("/shop", **{"X-Forwarded-Proto": "https"})
        assert "; Secure" in tls.headers["set-cookie"]


async def test_a_session_ends_with_its_token(visit):
    """A token that is valid for five more minutes gives no session of thirty."""
    async with visit() as ann:
        cookie = (await ann.sign_in(valid_s=300)).headers["set-cookie"]
        assert 0 < int(re.search(r"Max-Age=(\d+)", cookie)[1]) <= 300
        assert (await ann.sign_in(valid_s=-60)).status_code == 401
        assert "The token was not accepted" in (await ann.send("/shop/sign-in", "/shop/sign-in", token="x")).text


async def test_a_made_up_or_old_cookie_is_nobody(visit):
    """A changed cookie, one of another secret, and one that has ended are as if there were none."""
    async with visit() as ann:
        right = Sessions(ann.api.state.tokens.secrets)
        now_s = 1_900_000_000
        cookie = right.sign(right.begin(now_s, "ann", admin=True))
        assert right.read(cookie, now_s).user_id == "ann"
        assert right.read(cookie, now_s + SESSION_S) is None
        wrong = Sessions(lambda: [b"another secret"])
        for made_up in ("", ".", "x.y", f"{cookie}x", cookie.replace(".", "A."), "é.é", "a" * 5000):
            assert right.read(made_up, now_s) is None
        assert right.read(wrong.sign(wrong.begin(now_s, "ann", admin=True)), now_s) is None
        ann.http.cookies.set("stockade_session", wrong.sign(wrong.begin(now_s, "ann", admin=True)), path="/shop")
        assert (await ann.get("/shop/admin")).headers["location"] == "/shop/sign-in?back=%2Fshop%2Fadmin"
        halfway = right.renewed(right.begin(now_s, "ann", latest_s=now_s + 2 * SESSION_S), now_s + SESSION_S // 2 + 1)
        assert halfway.ends_s == now_s + SESSION_S // 2 + 1 + SESSION_S


async def test_an_administrator_sees_orders_of_others(ann):
    """What is not there for other users (`test_access.py`) is there for an administrator, until they sign out."""
    _, sku = await ann.product()
    bob = ann.api.as_user("bob")
    await bob.charge()
    order = (await bob.order(sku)).json()["order_id"]
    assert (await ann.get(f"/shop/orders/{order}")).status_code == 404
    await ann.sign_in("root", admin=True)
    assert (await ann.get(f"/shop/orders/{order}")).status_code == 200
    await ann.send("/shop", "/shop/sign-out")
    assert (await ann.get(f"/shop/orders/{order}")).headers["location"].startswith("/shop/sign-in")


ELSEWHERE = (
    "https://evil.example",
    "//evil.example",
    "/shop//evil",
    "/shopping",
    "/shop\\evil",
    "/v1/products",
    "/shop\r\nX: y",
)


async def test_nobody_is_led_to_another_site(visit):
    """After a sign-in or another language the browser stays in the shop, whatever the address or the form asked for."""
    async with visit() as ann:
        for back in ELSEWHERE:
            answer = await ann.get(f"/shop/language?to=ko&back={quote(back)}")
            assert answer.headers["location"] == "/shop"
            page = f"/shop/sign-in?back={quote(back)}"
            assert dict(await ann.form(page, "/shop/sign-in"))["back"] == "/shop"
            form = {"token": ann.api.state.tokens.issuer.issue("ann", valid_s=600), "back": back}
            assert (await ann.send(page, "/shop/sign-in", **form)).headers["location"] == "/shop"
        for back, led in (
            ("/shop/points", "/shop/points"),
            ("/shop?q=%ED%95%9C&cursor=x", "/shop?q=%ED%95%9C&cursor=x"),
            ("/shop/points?x=\r\nSet-Cookie: a=b", "/shop/points"),
            (f"/shop/points?x={'x' * 4000}", "/shop/points"),
            ("/shop/basket/remove?x=1", "/shop/basket"),
        ):
            answer = await ann.get(f"/shop/language?to=ko&back={quote(back, safe='')}")
            assert answer.headers["location"] == led
        assert 'lang="ko"' in (await ann.get("/shop")).text
        form = {"token": ann.api.state.tokens.issuer.issue("ann", valid_s=600)}
        own = await ann.send("/shop/sign-in?back=/shop/points", "/shop/sign-in", **form)
        assert own.headers["location"] == "/shop/points"


ODD_COOKIES = ('prefs={"dark":true,"n":[1]}', "a[]=1", "x[y]={;}", "bare", 'q="a b"', "é=1", "=;;=")


async def test_a_cookie_of_another_application_hides_no_session(ann):
    """Cookies that the RFC does not allow stand beside the session, and the visitor is still known."""
    session = f"stockade_session={ann.http.cookies['stockade_session']}"
    for other in ODD_COOKIES:
        for sent in (
            f"{other}; {session}",
            f"{session}; {other}",
            f"{session};{other};stockade_session=planted",
            other,
        ):
            ann.http.cookies.clear()
            page = await ann.http.get("/shop/orders", headers=[(b"Cookie", sent.encode())])
            assert page.status_code == (303 if sent == other else 200), sent


async def test_one_click_is_for_a_demo_on_this_machine(visit, url, tmp_path):
    """Sign-in by one click works only where the setting says demo, under this machine's name, and for nobody else."""
    async with visit() as ann:
        form = await ann.form("/shop/sign-in", "/shop/sign-in")
        assert "sign-in/demo" not in (await ann.get("/shop/sign-in")).text
        assert (await ann.post("/shop/sign-in/demo", [*form, ("user", "admin")])).status_code == 403
    async with visit(shop_front="demo") as ann:
        form = await ann.form("/shop/sign-in", "/shop/sign-in/demo", user="admin")
        assert (await ann.post("/shop/sign-in/demo", form)).status_code == 403, "a name that another site can lead here"
        here = {"Host": "127.0.0.1:8000"}
        assert (await ann.post("/shop/sign-in/demo", [*form, ("user", "x")], **here)).status_code == 303
        assert (await ann.get("/shop/admin")).status_code == 200
    with pytest.raises(BadSetting, match="must be an address of this machine alone"):
        async with visiting(url, tmp_path, shop_front="demo", host="0.0.0.0"):
            pass


def test_it_costs_nothing_where_it_is_off():
    """Without the setting neither the pages nor Jinja2 are imported."""
    program = "import sys, stockade.shop.http.server.server; print({'jinja2', 'stockade.shop.front'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"


async def test_it_is_not_there_where_it_is_off(visit):
    """Without the setting `/shop` is a path like any other that is not there."""
    async with visit(shop_front="no") as ann:
        assert (await ann.get("/shop")).json()["code"] == "NOT_FOUND"


def test_the_demo_is_there_with_one_command(tmp_path):
    """`serve --demo` makes the data, says where the shop front is, and lets a visitor in with one click."""
    with Service(tmp_path, "--demo") as service:
        assert service.process.stdout.readline() == f"shop front on {service.url}/shop\n"
        with httpx2.Client(base_url=service.url) as browser:
            assert "Product 1" in browser.get("/shop").text
            page = browser.get("/shop/sign-in").text
            fields = {"form_token": re.search(r'name="form_token" value="([^"]+)"', page)[1], "user": "user-1"}
            assert browser.post("/shop/sign-in/demo", data=fields).status_code == 303
            assert "1,000,000 points" in browser.get("/shop").text

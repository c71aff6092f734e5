"""The pages of the shop front without a browser: a client that keeps cookies and sends the forms that it was shown."""

from contextlib import asynccontextmanager
from html.parser import HTMLParser

import httpx2
import pytest

from tests.http.conftest import application, make_schema


class Form(HTMLParser):
    """All forms of a page: by action, a list of their fields, as a browser would send them untouched."""

    def __init__(self, html):
        super().__init__()
        self.forms, self._open, self._select = [], None, ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "form":
            self._open = []
            self.forms.append((given.get("action"), self._open))
        elif self._open is None:
            return
        elif tag == "select":
            self._select = given["name"]
        elif tag == "option" and self._select:
            self._open.append((self._select, given["value"]))
            self._select = ""
        elif tag in ("input", "textarea") and "name" in given:
            unchosen = given.get("type") in ("radio", "checkbox") and "checked" not in given
            self._open += [] if unchosen else [(given["name"], given.get("value", ""))]

    def handle_endtag(self, tag):
        if tag == "form":
            self._open = None


class Visitor:
    """One browser, without a script.

    Attributes:
        api: the client of the same application's API, as `ann`.
    """

    def __init__(self, http, api):
        self.http, self.api = http, api

    async def get(self, path, **headers):
        return await self.http.get(path, headers=headers)

    async def form(self, page, action, **changed):
        """The fields of the form with this action on a page; `changed` replaces the values of some."""
        shown = await self.get(page)
        found = [fields for where, fields in Form(shown.text).forms if where == action]
        assert found, f"no form for {action} on {page}: {shown.status_code}"
        kept = [(name, value) for name, value in found[0] if name not in changed]
        return [*kept, *((name, str(value)) for name, value in changed.items())]

    async def post(self, path, fields, **headers):
        """Send fields as a browser does."""
        from urllib.parse import urlencode

        given = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        return await self.http.post(path, content=urlencode(fields), headers=given)

    async def send(self, page, action, *, to=None, **changed):
        """Fill in the form of a page, and send it; `to` is the address of another of its buttons."""
        return await self.post(to or action, await self.form(page, action, **changed))

    async def sign_in(self, user="ann", admin=False, valid_s=3600):
        """As a user, by a token."""
        token = self.api.state.tokens.issuer.issue(user, valid_s=valid_s, admin=admin)
        return await self.send("/shop/sign-in", "/shop/sign-in", token=token)

    async def product(self, **figures):
        """A new product: its id, and the id of its SKU."""
        (sku,) = await self.api.product(**figures)
        found = (await self.api.get("/v1/products?limit=100")).json()["items"]
        return next(each["id"] for each in found if each["skus"][0]["id"] == sku), sku

    async def orders(self, user="ann"):
        """How many orders of a user were made."""
        listed = await self.api.as_user(user).get(f"/v1/users/{user}/orders?limit=100")
        return [each for each in listed.json()["items"] if each["status"] != "REJECTED"]


@asynccontextmanager
async def visiting(url, tmp_path, **settings):
    """A visitor of an application over a database."""
    chosen = {"shop_front": "yes", **settings}
    async with application(url, tmp_path, **chosen) as api:
        transport = api.http._transport
        async with httpx2.AsyncClient(transport=transport, base_url="http://shop") as http:
            yield Visitor(http, api)


@pytest.fixture
async def url(tmp_path):
    """A fresh migrated SQLite database."""
    made = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    await make_schema(made)
    return made


@pytest.fixture
def visit(url, tmp_path):
    """Function: settings -> a visitor, as an async context manager."""
    return lambda **settings: visiting(url, tmp_path, **settings)


@pytest.fixture
async def ann(visit):
    """A visitor who has signed in as ann, who has points."""
    async with visit() as made:
        await made.api.charge()
        assert (await made.sign_in()).status_code == 303
        yield made

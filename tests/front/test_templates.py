"""Every branch of every template is rendered, with the objects that the pages give it and StrictUndefined.

A wrong attribute in a branch that no page test reaches is an error for the visitor who reaches it. `marking` puts a
mark into each branch, so a branch without a case in `CASES` fails too. Neighbour: `test_pages.py`, whose pages choose.
"""

from types import SimpleNamespace

import pytest
from jinja2 import DictLoader, UndefinedError, nodes

from stockade.kafka.dead_letters import DeadLetter
from stockade.kafka.message import Record
from stockade.service.audit.rule_types import Violation
from stockade.shop import queries
from stockade.shop.audit import Summary
from stockade.shop.config.settings import Settings
from stockade.shop.front import rendering
from stockade.shop.front.forms import Fields
from stockade.shop.front.languages import Words
from stockade.shop.front.own_addresses import OwnAddresses
from stockade.shop.front.pages import admin
from stockade.shop.front.sessions import Sessions
from stockade.shop.front.visit import Visit
from stockade.shop.queries.orders import Line, Order, Shortage, Step
from stockade.shop.queries.page import Page
from stockade.shop.queries.products import Product, Sku
from stockade.shop.queries.skus import SkuName, SkuStock
from stockade.store.outbox import Lag
from tests.test_tidy import ROOT

TEMPLATES = ROOT / "src" / "stockade" / "shop" / "front" / "templates"
AT = "2026-01-02T03:04:05.678Z"
NAME = SkuName("product-1", "a shirt", "clothes")
STEPS = [Step("RESERVED", AT)]
LINES = [Line("sku-1", 2, "product-1", 1000, 1), Line("gone", 1)]
OPEN = Order("order-1", "ann", "RESERVED", LINES, STEPS, AT, 3000, reserved_until=AT, pg_order_id="pg-1")
PAID = Order("order-2", "bob", "PAID", LINES, STEPS, AT, 3000, cancelled=1000, refunded=1000)
REFUSED = Order("order-3", "ann", "REJECTED", LINES, STEPS, AT, reason="OUT_OF_STOCK", shortages=[])
LONG = Order("order-4", "ann", "PAID", [*LINES, *LINES], STEPS, AT)
SKUS = [Sku("sku-1", 1000, 7), Sku("sku-2", 1500, 3), Sku("sku-3", 1500, 0)]
MANY, ONE = (Product(f"product-{n}", "a shirt", "clothes", "ACTIVE", 1, SKUS[:n]) for n in (3, 1))
LETTER = DeadLetter(7, "no such <command>", "0:12", Record(0, 12, b"sku-1", b"{}", {}), None)
EVENT = admin._Letter(3, "order.placed", "order-1", "no such topic", "{}")
FIGURES = Summary(1, 9, 2, 7, 3, 3000, 1, 5000, {"PAID": 3, "LATER": 1})
AUDITED = {"done": True, "rules": 9, "figures": FIGURES, "took_s": "0.10", "too_long": ""}
SOLD_OUT, FEW, LEFT, HIDDEN = (
    queries.CartItem(f"sku-{n}", 5, 1000, there, on_sale)
    for n, (there, on_sale) in enumerate(((0, True), (3, True), (9, True), (9, False)))
)
ORDER = {"names": {"sku-1": NAME}, "short": {}, "clicks": 0, "again": False, "placed": False, "notice": ""}
SHORT = {"sku-0": Shortage("sku-0", 5, 0)}
BASKET = {"items": [], "more": False, "names": {f"sku-{n}": NAME for n in range(4)}, "refused": None, "short": {}}
LAG = Lag(1, 1, 1000)
EVENTS = {"sink": "log", "lag": LAG, "dead": [], "most": 1000, "log": False, "letters": [], "reached": True, "sent": ""}
POINTS = {"account": None, "entries": None, "charged": False, "again": False, "notice": ""}
SIGN_IN = {"wrong": "", "ended": False, "back": "/shop", "demo_users": (), "demo_admin": "admin"}
PROBLEM = {"code": "X", "title": "x", "detail": "x", "status": 503, "outcome": "unknown", "retryable": True}
REFUSAL = {**PROBLEM, "outcome": "none", "detail": "y", "retryable": False}
PLAIN = {"sentence_of_it": "x", "fields": [], "log_id": "", "shown_on": ""}
ENTRIES = [queries.PointEntry("1", "USE", -1, 9, "order-1", AT), queries.PointEntry("2", "CHARGE", 1, 9, "order-1", AT)]
CHARGE = queries.Charge("charge-1", "ann", "READY", 500, "KRW", STEPS, AT, pg_order_id="pg-1")


def stock(*, hidden):
    """What the page of the stock is given."""
    found = Page([SkuStock("sku-1", NAME, 1000, 9, 2, 7, hidden)], "more" if hidden else None)
    return {"found": found, "cursor": "", "refused": {"sku": "", "delta": "", "reason": ""}}


AGAIN = {"sku": "sku-1", "delta": "-9", "reason": "x"}
# template, what its page gives it, and how the visit differs from that of a visitor who has not signed in
CASES = [
    ("products", {"found": Page([]), "search": "", "sort": "id", "sorts": ["id", "cheap"]}, {}),
    ("products", {"found": Page([]), "search": "x", "sort": "id", "sorts": ["id"]}, {"query": [("cursor", "c")]}),
    ("products", {"found": Page([MANY, ONE], "c"), "search": "", "sort": "id", "sorts": ["id"]}, {"user": "ann"}),
    ("product", {"product": MANY, "wanted": {}}, {}),
    ("product", {"product": MANY, "wanted": {"sku-1": 2}}, {"user": "ann"}),
    ("product", {"product": ONE, "wanted": {}}, {"user": "ann", "path": "/shop/products/product-1"}),
    ("basket", BASKET, {"user": "ann", "path": "/shop/basket"}),
    (
        "basket",
        {**BASKET, "items": [SOLD_OUT, FEW, LEFT, HIDDEN], "more": True, "refused": REFUSED, "short": SHORT},
        {"user": "ann", "points": None},
    ),
    ("order", {**ORDER, "order": OPEN, "clicks": 2}, {"user": "ann"}),
    ("order", {**ORDER, "order": OPEN, "again": True, "notice": "PENDING"}, {"user": "ann", "gateway": "test"}),
    (
        "order",
        {**ORDER, "order": OPEN, "placed": True, "notice": "PAYMENT_DECLINED"},
        {"user": "ann", "gateway": "toss"},
    ),
    ("order", {**ORDER, "order": PAID}, {"user": "root", "admin": True}),
    ("order", {**ORDER, "order": REFUSED, "short": {"sku-1": Shortage("sku-1", 2, 1)}}, {"user": "ann"}),
    ("pending", {"order_id": "order-1", "max_looks": 20}, {"user": "ann"}),
    ("orders", {"found": Page([]), "names": {}}, {"user": "ann", "path": "/shop/orders"}),
    ("orders", {"found": Page([OPEN, LONG], "c"), "names": {"sku-1": NAME}}, {"user": "ann"}),
    ("points", POINTS, {"user": "ann"}),
    ("points", {**POINTS, "charged": True, "notice": "PENDING"}, {"user": "ann", "gateway": "test"}),
    (
        "points",
        {**POINTS, "account": queries.Points(9, 2, 7), "entries": Page(ENTRIES, "c"), "charged": True, "again": True},
        {"user": "ann"},
    ),
    ("points", {**POINTS, "account": queries.Points(9, 0, 9), "entries": Page([]), "notice": "X"}, {"user": "ann"}),
    ("charge", {"charge": CHARGE, "notice": "CONFLICT"}, {"user": "ann", "gateway": "toss"}),
    ("charge", {"charge": CHARGE, "notice": "PENDING"}, {"user": "ann"}),
    ("charge", {"charge": CHARGE, "notice": ""}, {"user": "ann"}),
    ("sign_in", SIGN_IN, {}),
    ("sign_in", {**SIGN_IN, "wrong": "ended", "ended": True, "demo_users": ("a", "b")}, {"shop_front": "demo"}),
    ("problem", {"problem": PROBLEM, **PLAIN, "fields": [("key", "k")]}, {"docs_page": "yes"}),
    ("problem", {"problem": PROBLEM, **PLAIN, "log_id": "1"}, {}),
    ("problem", {"problem": REFUSAL, **PLAIN}, {}),
    ("problem", {"problem": {**REFUSAL, "status": 404}, **PLAIN}, {}),
    ("admin/stock", {**stock(hidden=True), "cursor": "c", "notice": "DONE"}, {"user": "root", "admin": True}),
    ("admin/stock", {**stock(hidden=False), "notice": "PENDING"}, {"path": "/shop/admin"}),
    ("admin/stock", {**stock(hidden=False), "notice": "OUT_OF_STOCK"}, {}),
    (
        "admin/stock",
        {**stock(hidden=False), "notice": "OUT_OF_STOCK", "refused": AGAIN},
        {},
    ),
    ("admin/stock", {**stock(hidden=False), "notice": ""}, {}),
    ("admin/audit", {"done": False, "rules": 9, "too_long": ""}, {}),
    ("admin/audit", {"done": False, "rules": 9, "too_long": "60"}, {}),
    ("admin/audit", {**AUDITED, "violations": []}, {}),
    ("admin/audit", {**AUDITED, "violations": [Violation("a", "b", 1, 2)]}, {}),
    ("admin/events", EVENTS, {}),
    ("admin/events", {**EVENTS, "dead": [EVENT], "log": True, "sent": "1"}, {}),
    ("admin/events", {**EVENTS, "log": True, "letters": [admin._of(LETTER)]}, {}),
    ("admin/events", {**EVENTS, "log": True, "reached": False}, {}),
]


def visit_of(*, user="", admin=False, path="/shop", query=(), **settings):
    """A request to a page, without an application behind it."""
    sessions = Sessions(lambda: [b"a secret"])
    state = SimpleNamespace(settings=Settings(**{"shop_front": "yes", "docs_page": "no", **settings}))
    session = sessions.begin(0, user, admin=admin)
    about = {"words": Words("en"), "addresses": OwnAddresses(["/shop"]), "method": "GET", "path": path, "path_ids": {}}
    made = Visit(state, {}, sessions, session, **about, host="shop", secure=False, by_script=False)
    made.query = Fields(list(query))
    return made


def rendered(template, values, visit):
    """The page of one case."""
    points = visit.pop("points", 10 if "user" in visit else None)
    around = {"points": points, "in_basket": None if points is None else 1}
    return visit_of(**visit).plain_page(template, 200, (), **{**around, **values}).body.decode()


class Marks:
    """Which branches there are, and which were rendered."""

    def __init__(self):
        self.all, self.seen = set(), set()

    def see(self, name, value=""):
        self.seen.add(name)
        return value


def marking(made, marks):
    """Have an environment note each branch that it renders: of `if`, `for`, a macro and a conditional expression."""
    made.globals["see"] = marks.see
    parse = made._parse

    def call(name, *arguments):
        marks.all.add(name)
        return nodes.Call(nodes.Name("see", "load"), [nodes.Const(name), *arguments], [], None, None)

    def marked(body, name):
        return [nodes.Output([call(name)]), *body] if body else body

    def parse_marked(source, name, filename):
        tree = parse(source, name, filename)
        for number, node in enumerate([*tree.find_all((nodes.If, nodes.For, nodes.Macro, nodes.CondExpr))]):
            place = f"{name}:{node.lineno} ({number}, {type(node).__name__.lower()})"
            if isinstance(node, nodes.CondExpr):
                node.expr1 = call(f"{place}, true", node.expr1)
                node.expr2 = call(f"{place}, false", node.expr2 or nodes.Const(""))
            else:
                node.body = marked(node.body, place)
            if isinstance(node, nodes.If | nodes.For):
                node.else_ = marked(node.else_, f"{place}, else")
        return tree.set_environment(made)

    made._parse = parse_marked
    return made


@pytest.fixture
def marks(monkeypatch):
    """The marks of the templates that the pages use in this test."""
    found = Marks()
    made = marking(rendering.environment.__wrapped__(), found)
    monkeypatch.setattr(rendering, "environment", lambda: made)
    return found


def test_every_branch_of_every_template_is_rendered(marks):
    """No branch names an attribute that its objects do not have, and no branch and no macro is left out."""
    for template, values, visit in CASES:
        assert "<!doctype html>" in rendered(template, values, dict(visit)), (template, values)
    for path in TEMPLATES.rglob("*.html"):
        rendering.environment().get_template(str(path.relative_to(TEMPLATES)))
    assert len(marks.all) > 100
    assert sorted(marks.all - marks.seen) == []


def test_a_branch_that_is_not_rendered_is_found():
    """The control: a branch without a case is missed, and a wrong attribute in a branch is an error."""
    found = Marks()
    text = (
        "{% if yes %}{{ a.b }}{% elif no %}{{ a.wrong }}{% endif %}{{ 1 if yes else 2 }}{% macro m() %}x{% endmacro %}"
    )
    template = marking(rendering.environment.__wrapped__().overlay(loader=DictLoader({"t": text})), found).get_template(
        "t"
    )
    template.render(yes=True, no=True, a={"b": 1})
    assert len(found.all) == 5
    assert len(found.seen) == 2
    with pytest.raises(UndefinedError):
        template.render(yes=False, no=True, a={"b": 1})

"""Products: the list with search, one product with its stock, and the language of the pages."""

from sqlalchemy import Connection

from stockade.shop import queries
from stockade.shop.front.languages import COOKIE, LANGUAGES
from stockade.shop.front.page_route import PageRoute
from stockade.shop.front.visit import Visit
from stockade.shop.http.requests.authorization import Access
from stockade.shop.http.responses.problems import ProblemError
from stockade.shop.http.responses.response import Response

PER_PAGE = 12
SORTS = {"id": ("id", False), "cheap": ("price", False), "dear": ("price", True)}
LANGUAGE = "/shop/language"  # it leads to a page, and is none
_YEAR_S = 365 * 24 * 3_600


async def _products(visit: Visit) -> Response:
    search, sort, cursor = visit.query.text("q"), visit.query.text("sort", "id"), visit.query.text("cursor")
    by, descending = SORTS.get(sort, SORTS["id"])

    def read(conn: Connection) -> queries.Page[queries.Product]:
        return queries.products(conn, q=search, sort=by, descending=descending, limit=PER_PAGE, cursor=cursor or None)

    return await visit.page("products", found=await visit.read(read), search=search, sort=sort, sorts=list(SORTS))


async def _product(visit: Visit) -> Response:
    product_id, user_id = visit.path_ids["product_id"], visit.user_id

    def read(conn: Connection) -> tuple[queries.Product | None, dict[str, int]]:
        items = queries.cart(conn, user_id, limit=queries.MAX_LIMIT).items if user_id else []
        return queries.product(conn, product_id), {item.sku_id: item.quantity for item in items}

    found, wanted = await visit.read(read)
    if found is None:
        raise ProblemError("PRODUCT_NOT_FOUND", "")
    return await visit.page("product", product=found, wanted=wanted)


async def _language(visit: Visit) -> Response:
    language = visit.query.text("to")
    if language in LANGUAGES:
        visit.set_cookie(COOKIE, language, _YEAR_S)
    return visit.go(visit.addresses.own(visit.query.text("back")))


async def _home(visit: Visit) -> Response:
    return visit.go("/shop")


CATALOG = (
    PageRoute("GET", "/", _home, Access.ANYONE),
    PageRoute("GET", "/shop", _products, Access.ANYONE),
    PageRoute("GET", "/shop/products/{product_id}", _product, Access.ANYONE),
    PageRoute("GET", LANGUAGE, _language, Access.ANYONE),
)

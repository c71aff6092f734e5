"""Every route of the API, by subject. Neighbours: `endpoint` walks them, `openapi` documents them."""

from stockade.shop.http.route import Route
from stockade.shop.http.routes.audit import AUDIT
from stockade.shop.http.routes.carts import CARTS
from stockade.shop.http.routes.orders import ORDERS
from stockade.shop.http.routes.points import POINTS
from stockade.shop.http.routes.products import PRODUCTS

ROUTES: tuple[Route, ...] = (*PRODUCTS, *POINTS, *CARTS, *ORDERS, *AUDIT)

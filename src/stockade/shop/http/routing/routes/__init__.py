"""Every route of the API, by subject. Neighbours: `app` makes an endpoint of each, `openapi` documents them."""

from stockade.shop.http.routing.route import Route
from stockade.shop.http.routing.routes.admin import ADMIN
from stockade.shop.http.routing.routes.audit import AUDIT
from stockade.shop.http.routing.routes.carts import CARTS
from stockade.shop.http.routing.routes.orders import ORDERS
from stockade.shop.http.routing.routes.payments import PAYMENTS
from stockade.shop.http.routing.routes.points import POINTS
from stockade.shop.http.routing.routes.products import PRODUCTS

ROUTES: tuple[Route, ...] = (*PRODUCTS, *POINTS, *CARTS, *ORDERS, *PAYMENTS, *ADMIN, *AUDIT)

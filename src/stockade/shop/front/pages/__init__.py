"""The pages by subject, and the list of all of them. A page reads with `shop.queries` and acts with `Visit.command`."""

from stockade.shop.front.page_route import PageRoute
from stockade.shop.front.pages.admin import ADMIN
from stockade.shop.front.pages.basket import BASKET
from stockade.shop.front.pages.catalog import CATALOG
from stockade.shop.front.pages.orders import ORDERS
from stockade.shop.front.pages.payments import PAYMENTS
from stockade.shop.front.pages.points import POINTS
from stockade.shop.front.pages.problem import NOT_FOUND
from stockade.shop.front.pages.sign_in import SIGN_IN_PAGES

PAGES: tuple[PageRoute, ...] = (
    *CATALOG,
    *BASKET,
    *ORDERS,
    *PAYMENTS,
    *POINTS,
    *SIGN_IN_PAGES,
    *ADMIN,
    *NOT_FOUND,
)

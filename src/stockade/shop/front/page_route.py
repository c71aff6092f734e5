"""A page as data: its method and path, who may see it, and the function that makes it. Neighbour: `pages` lists all."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

from stockade.shop.http.requests.authorization import Access
from stockade.shop.http.responses.response import Response

if TYPE_CHECKING:
    from stockade.shop.front.visit import Visit


class PageRoute(NamedTuple):
    """One page, or the target of one form.

    Attributes:
        method: GET or POST.
        path: with `{name}` for each id in it.
        make: makes the response.
        access: who may have it; others are sent to sign in, or refused.
    """

    method: str
    path: str
    make: "Callable[[Visit], Awaitable[Response]]"
    access: Access = Access.USER

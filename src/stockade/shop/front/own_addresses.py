"""Addresses of the shop front that a visitor may be led back to: only such that GET answers with a page.

A form is answered under its own address, which may have no page; and whoever writes an address into a link must lead
nobody to another site. Neighbours: `handlers` knows the pages, `visit` asks for the way back.
"""

import re
from collections.abc import Iterable

HOME = "/shop"
MAX_ADDRESS = 2_000  # characters
_PATH = re.compile(r"/shop(/[\w.:/-]*)?\Z", re.ASCII)
_QUERY = re.compile(r"[\w.~%&=+:;,!*()'$@/?-]*\Z", re.ASCII)


class OwnAddresses:
    """The addresses of the pages.

    Args:
        paths: of the pages, with `{name}` for each id in them.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._pages = [re.compile(re.sub(r"\{\w+\}", r"[^/]+", path) + r"\Z") for path in paths]

    def page_at(self, path: str) -> str:
        """The path itself if a page is there, else the nearest page above it.

        `/shop/orders/ID/cancel` has no page; its order has: `/shop/orders/ID`.

        Args:
            path: of a request, or of a link.
        """
        if not _PATH.match(path) or "//" in path:
            return HOME
        while path.count("/") > 1 and not any(page.match(path) for page in self._pages):
            path = path.rpartition("/")[0]
        return path

    def own(self, address: str) -> str:
        """A path with its query where it is a page of the shop front, else the nearest page.

        Args:
            address: as a link or a form gave it.
        """
        path, mark, query = address.partition("?")
        page = self.page_at(path)
        kept = mark and page == path and len(address) <= MAX_ADDRESS and _QUERY.match(query)
        return address if kept else page

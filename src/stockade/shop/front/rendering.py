"""Makes pages: templates with escaped text, the words of a language, and headers that let a browser do nothing else.

Neighbours: `visit` calls it for one request, `page_headers` has the policy.
"""

from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from typing import Any
from zlib import crc32

from jinja2 import Environment, PackageLoader, StrictUndefined

from stockade.gateways.money import DECIMALS
from stockade.shop.front.languages import LANGUAGES, Words
from stockade.shop.http.responses.page_headers import page_headers
from stockade.shop.http.responses.response import Headers, Response

HTML = b"text/html; charset=utf-8"
OWN_PAGE: Headers = (*page_headers("no-store", forms=True), (b"vary", b"Cookie, Accept, Accept-Language"))
ASSETS = {
    "front.css": b"text/css; charset=utf-8",
    "front.js": b"text/javascript; charset=utf-8",
    "icon.svg": b"image/svg+xml",
}
_KEPT = page_headers("public, max-age=86400", forms=True)
_TILES = 6


@lru_cache
def asset(name: str) -> bytes:
    """A file of the pages."""
    return files("stockade.shop.front").joinpath("assets", name).read_bytes()


def asset_url(name: str) -> str:
    """Where it is; another content has another address, so that it may be kept."""
    return f"/shop/assets/{name}?v={sha256(asset(name)).hexdigest()[:12]}"


def asset_response(name: str) -> Response:
    """The response with a file of `ASSETS`."""
    return Response(200, asset(name), ASSETS[name], _KEPT)


def money(amount: int, currency: str, words: Words) -> str:
    """An amount of the smallest unit, for people of a language: `₩12,000`, `12,000원`, `12.00 EUR`."""
    places = DECIMALS.get(currency, 0)
    whole, part = divmod(abs(amount), 10**places)
    text = f"{'−' if amount < 0 else ''}{whole:,}{f'.{part:0{places}}' if places else ''}"
    return words.known(f"money.{currency}", "{amount} " + currency).format(amount=text)


def moment(at: str) -> str:
    """A time of the API for people: to the second, in UTC."""
    return f"{at[:10]} {at[11:19]} UTC"


def tile(text: str) -> int:
    """Which of the colours a category has, always the same."""
    return crc32(text.encode(), _TILES) % _TILES


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The templates. Every text is escaped, and a name that a page did not give is an error."""
    made = Environment(
        loader=PackageLoader("stockade.shop.front"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(moment=moment, tile=tile)
    made.globals.update(asset_url=asset_url, languages=LANGUAGES)
    return made


def render(template: str, words: Words, values: Mapping[str, Any]) -> bytes:
    """A page as HTML."""
    return environment().get_template(f"{template}.html").render(t=words, language=words.language, **values).encode()

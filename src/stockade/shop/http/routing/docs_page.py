"""The page at /docs: Swagger UI over /openapi.json, which works without the internet.

The files of Swagger UI are those of an installed package (`stockade[docs-page]`), which is never imported: only its
files are read. Neighbours: `service_routes`, `page_headers`.
"""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from starlette.types import Receive, Scope

from stockade.shop.http.responses.page_headers import page_headers
from stockade.shop.http.responses.problems import problem
from stockade.shop.http.responses.response import Handler, Response

PACKAGE = "flask_swagger_ui"
INSTALL = "pip install 'stockade[docs-page]'"
_HEADERS = page_headers("no-cache", data_urls=True)
_PAGE = b"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>stockade: HTTP API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
# without `validatorUrl: null` the page would ask a server of Swagger's to check the document
_START = b"""window.addEventListener("load", () => {
  SwaggerUIBundle({url: "/openapi.json", dom_id: "#page", validatorUrl: null, deepLinking: true});
});
"""
_CSS, _SCRIPT, _HTML = b"text/css; charset=utf-8", b"text/javascript; charset=utf-8", b"text/html; charset=utf-8"


def docs_handlers(shown: bool) -> dict[str, Handler]:
    """The handlers of GET, by path.

    Args:
        shown: whether there is a page; else every path of it is NOT_FOUND.
    """

    async def page(scope: Scope, receive: Receive) -> Response:
        return _answer(_PAGE, _HTML)

    async def start(scope: Scope, receive: Receive) -> Response:
        return _answer(_START, _SCRIPT)

    async def styles(scope: Scope, receive: Receive) -> Response:
        return _answer(_asset("swagger-ui.css"), _CSS)

    async def script(scope: Scope, receive: Receive) -> Response:
        return _answer(_asset("swagger-ui-bundle.js"), _SCRIPT)

    async def off(scope: Scope, receive: Receive) -> Response:
        return problem("NOT_FOUND", "the setting docs_page switches this page off")

    handlers: dict[str, Handler] = {
        "/docs": page,
        "/docs/start.js": start,
        "/docs/swagger-ui.css": styles,
        "/docs/swagger-ui-bundle.js": script,
    }
    return handlers if shown else dict.fromkeys(handlers, off)


def _answer(content: bytes | None, media_type: bytes) -> Response:
    if content is None or _folder() is None:
        return problem("NOT_FOUND", f"the page needs the files of Swagger UI: {INSTALL}")
    return Response(200, content, media_type, _HEADERS)


def _folder() -> Path | None:
    """Where the package has its files; None where it is not installed."""
    spec = find_spec(PACKAGE)
    places = spec.submodule_search_locations if spec is not None else None
    return Path(next(iter(places))) / "dist" if places else None


@lru_cache(maxsize=2)
def _asset(name: str) -> bytes | None:
    """A file of the package; None where it is not installed, or has another layout."""
    folder = _folder()
    if folder is None or not (folder / name).is_file():
        return None
    return (folder / name).read_bytes()

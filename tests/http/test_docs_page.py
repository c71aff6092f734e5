"""The page at /docs: nothing of it comes from outside, and without its package it says what to install."""

import re

import pytest

from stockade.shop.http.routing import docs_page
from tests.http.test_bad_input import assert_problem

FILES = {
    "/docs/swagger-ui.css": "text/css",
    "/docs/swagger-ui-bundle.js": "text/javascript",
    "/docs/start.js": "text/javascript",
}
REFERENCES = re.compile(r"""(?:src|href)\s*=\s*["']([^"']*)["']|url\(\s*["']?([^"')]*)|@import\s+["']([^"']*)""")


@pytest.fixture(autouse=True)
def package(monkeypatch, tmp_path):
    """Swagger UI as the package has it, or two small files in its place where it is not installed."""
    docs_page._asset.cache_clear()
    if docs_page._folder() is None:
        (tmp_path / "dist").mkdir()
        for name in ("swagger-ui.css", "swagger-ui-bundle.js"):
            (tmp_path / "dist" / name).write_text("/* Swagger UI */")
        monkeypatch.setattr(docs_page, "_folder", lambda: tmp_path / "dist")
    yield
    docs_page._asset.cache_clear()


def loaded_from_outside(text):
    """References of a page or a style sheet that a browser would load from elsewhere."""
    found = ["".join(each) for each in REFERENCES.findall(text)]
    return [each for each in found if re.match(r"(?:[a-z]+:)?//", each)]


async def test_the_page_loads_from_this_service_only(client):
    """Page and style sheet name no other host, the policy allows none, and each file is there; the control is found."""
    page = await client.get("/docs", token="")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert loaded_from_outside(page.text) == []
    assert set(re.findall(r'(?:src|href)="(/[^"]+)"', page.text)) == set(FILES)
    for path, kind in FILES.items():
        answer = await client.get(path, token="")
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, kind)
        if kind == "text/css":
            assert loaded_from_outside(answer.text) == []
    sources = dict(each.split(maxsplit=1) for each in page.headers["content-security-policy"].split("; "))
    assert sources["default-src"] == "'none'"
    assert set(" ".join(sources.values()).split()) == {"'none'", "'self'", "data:"}
    assert "validatorUrl: null" in (await client.get("/docs/start.js", token="")).text
    for control in ('<script src="https://cdn.example/x.js">', "a { background: url(//cdn.example/x.png) }"):
        assert loaded_from_outside(control)


async def test_without_its_package_the_page_says_what_to_install(client, monkeypatch):
    """404 with the command, for the page and for its files."""
    monkeypatch.setattr(docs_page, "_folder", lambda: None)
    docs_page._asset.cache_clear()
    for path in ("/docs", *FILES):
        answer = await client.get(path, token="")
        assert_problem(answer, 404, "NOT_FOUND")
        assert "pip install 'stockade[docs-page]'" in answer.json()["detail"]


async def test_the_page_can_be_switched_off(start):
    """With `docs_page = no` there is no page, and the document is there all the same."""
    async with start(docs_page="no") as client:
        for path in ("/docs", *FILES):
            assert_problem(await client.get(path, token=""), 404, "NOT_FOUND")
        assert (await client.get("/openapi.json", token="")).status_code == 200

"""How a path and a method find their route, whatever the spelling of the path."""

import pytest

from tests.http.test_bad_input import assert_problem


@pytest.mark.parametrize(
    "path",
    ["/v1/products/", "/v1//products", "/v1/prod%75cts", "/v1/products/popular", "/v1/skus/%73/stock/"],
)
async def test_spellings_of_a_path(client, path):
    """Extra slashes and percent-encoded letters change nothing; `popular` is a route, not the id of a product."""
    made = await client.get(path, token="")
    assert (made.status_code, made.json().get("code")) in [(200, None), (404, "SKU_NOT_FOUND")]


@pytest.mark.parametrize("path", ["/", "/v1", "/V1/products", "/v1/products;x", "/v1/orders/a%2Fb", "/v1/products%0A"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_no_such_path(client, path, method):
    """A path that is no route is 404 for every method; an encoded slash ends an id, a line feed is no end of a path."""
    assert_problem(await client.send(method, path), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/orders", "OPTIONS, POST"),
        ("/v1/orders/o", "GET, HEAD, OPTIONS"),
        ("/v1/products", "GET, HEAD, OPTIONS, POST"),
        ("/v1/users/ann/cart/items/s", "DELETE, OPTIONS, PUT"),
        ("/healthz", "GET, HEAD, OPTIONS"),
    ],
)
async def test_the_methods_of_a_path(client, path, methods):
    """OPTIONS answers with the methods of the path, and so does the refusal of any other method."""
    listed = await client.send("OPTIONS", path, token="")
    assert (listed.status_code, listed.headers["allow"], listed.content) == (204, methods, b"")
    refused = await client.send("PATCH", path)
    assert_problem(refused, 405, "METHOD_NOT_ALLOWED")
    assert refused.headers["allow"] == methods


@pytest.mark.parametrize("path", ["/v1/products", "/v1/products/p", "/healthz", "/nothing", "/v1/orders"])
async def test_head_is_get_without_the_body(client, path):
    """HEAD has the status and the headers of GET, and no body."""
    head, get = await client.send("HEAD", path), await client.get(path)
    assert (head.status_code, head.headers["content-type"], head.content) == (
        get.status_code,
        get.headers["content-type"],
        b"",
    )


async def test_an_unexpected_error_of_a_service_route(client, monkeypatch):
    """A defect behind /metrics is a 500 problem with the id of its log line, never a broken connection."""
    monkeypatch.setattr(type(client.state.metrics), "exposition", lambda self: 1 / 0)
    answer = await client.get("/metrics", token="")
    assert_problem(answer, 500, "INTERNAL_ERROR")
    assert answer.headers["x-log-id"]

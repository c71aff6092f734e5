"""The OpenAPI document for people: everything is described, and every example is right and works."""

import copy
import json

import jsonschema_rs
import msgspec
import pytest

from stockade.shop.demo import create_demo
from stockade.shop.http.responses.error_codes import ERROR_CODES
from stockade.shop.http.routing.openapi import openapi_document
from stockade.shop.http.routing.routes import ROUTES
from tests.http.openapi_walk import examples, undescribed

# the ids of the examples are nobody's, and the service has no gateway
NOT_MADE_YET = {"ORDER_NOT_FOUND", "PAYMENT_NOT_FOUND", "CHARGE_NOT_FOUND", "GATEWAY_NOT_FOUND"}


@pytest.fixture(scope="module")
def shown():
    """The document."""
    return json.loads(openapi_document(ROUTES))


def test_everything_has_a_description_and_an_example(shown):
    """Operations, parameters, headers and members of every body; each one that is taken away is missed (control)."""
    assert list(undescribed(shown)) == []
    for word in ("description", "examples"):
        poorer = copy.deepcopy(shown)
        del poorer["components"]["schemas"]["Sku"]["properties"]["price"][word]
        assert len(list(undescribed(poorer))) == 1
    poorer = copy.deepcopy(shown)
    del poorer["paths"]["/v1/orders"]["post"]["description"]
    del poorer["paths"]["/v1/products"]["get"]["parameters"][0]["example"]
    assert len(list(undescribed(poorer))) == 2


def test_no_docstring_leaks(shown):
    """Descriptions are prose: no sections of docstrings, no line breaks of the source."""
    found = [schema["description"] for schema in shown["components"]["schemas"].values()]
    assert [each for each in found if "Attributes" in each or "Args:" in each or "\n " in each or not each] == []


def test_states_codes_and_formats_are_stated(shown):
    """States and codes are enums, times and numbers have their formats, every error is the one schema."""
    schemas = shown["components"]["schemas"]
    assert set(schemas["Order"]["properties"]["status"]["enum"]) > {"PENDING", "PAID", "REJECTED"}
    assert set(schemas["Problem"]["properties"]["code"]["enum"]) == set(ERROR_CODES)
    assert schemas["Order"]["properties"]["created_at"]["format"] == "date-time"
    assert schemas["Sku"]["properties"]["price"]["format"] == "int64"
    assert schemas["Problem"]["properties"]["type"]["format"] == "uri"
    for methods in shown["paths"].values():
        for operation in methods.values():
            for response in operation["responses"].values():
                media = response.get("content", {}).get("application/problem+json")
                assert media is None or "#/components/schemas/Problem" in json.dumps(media["schema"])


def test_every_example_fits_its_schema(shown):
    """Examples of parameters, bodies, headers, members and errors are valid; a wrong one is not (control)."""
    components = shown["components"]
    wrong = [
        where
        for where, schema, example in examples(shown)
        if not jsonschema_rs.validator_for({**schema, "components": components}).is_valid(example)
    ]
    assert wrong == []
    price = components["schemas"]["Sku"]["properties"]["price"]
    assert not jsonschema_rs.validator_for(price).is_valid("1000")


async def answers(client, shown):
    """The answer to each operation, sent as its examples say."""
    found = {}
    for path, methods in shown["paths"].items():
        for method, operation in methods.items():
            by_place = {"path": {}, "query": {}, "header": {}}
            for each in operation.get("parameters", ()):
                if each["name"] != "Prefer":
                    by_place[each["in"]][each["name"]] = str(each["example"])
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
            more = {} if body is None else {"json": body}
            filled, query, headers = path.format(**by_place["path"]), by_place["query"], by_place["header"]
            answer = await client.send(method.upper(), filled, params=query, headers=headers, **more)
            found[f"{method.upper()} {path}"] = answer
    return found


async def test_every_example_is_accepted(client, shown):
    """On the data of `stockade demo` each operation does what its examples ask for; only made-up ids are not there."""
    await create_demo(client.state.shop.execute, now_ms=1_772_357_400_000)
    admin = client.as_user("user-1", admin=True)
    refused = {
        name: answer.text
        for name, answer in (await answers(admin, shown)).items()
        if answer.status_code >= 300 and answer.json().get("code") not in NOT_MADE_YET
    }
    assert refused == {}
    assert len(shown["paths"]) > 20


NAMED = [(route, name) for route in ROUTES if route.body for name in route.body.__struct_fields__]


@pytest.mark.parametrize(("route", "name"), NAMED, ids=lambda each: getattr(each, "path", each))
async def test_a_refusal_names_the_member(client, shown, route, name):
    """A member that is missing, unknown or of the wrong type is named in the detail, on every route with a body."""
    admin = client.as_user("user-1", admin=True)
    operation = shown["paths"][route.path][route.method.lower()]
    body = operation["requestBody"]["content"]["application/json"]["example"]
    path = route.path.format(user_id="user-1", sku_id="sku-1", order_id="o", product_id="p", charge_id="c")
    needed = {each.name for each in msgspec.structs.fields(route.body) if each.required}
    wrong = [{**body, name: None}, *([{k: v for k, v in body.items() if k != name}] if name in needed else [])]
    for each in wrong:
        answer = await admin.send(route.method, path, key="k", json=each)
        assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_REQUEST")
        assert name in answer.json()["detail"]
    answer = await admin.send(route.method, path, key="k", json={**body, "misspelt": 1})
    assert "misspelt" in answer.json()["detail"]


async def test_a_refusal_names_the_words_that_are_allowed(client):
    """In a body and in a query string."""
    answer = await client.get("/v1/products?sort=luck")
    assert answer.json()["detail"].endswith("available: id, price")
    answer = await client.post("/v1/orders", {"lines": [{"sku_id": "s", "quantity": 1}], "pay": "CARD"})
    assert answer.json()["detail"].endswith("available: POINTS, LATER")

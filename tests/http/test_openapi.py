"""The document: complete, in step with the application, and held against it by schemathesis."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import jsonschema_rs
import pytest

from stockade.shop.http.requests.authorization import Access
from stockade.shop.http.responses.error_codes import ERROR_CODES
from stockade.shop.http.routing.openapi import openapi_document
from stockade.shop.http.routing.routes import ROUTES
from tests.cli.service import Service, audited, prepared, token

HOOKS = Path(__file__).parent / "schemathesis_hooks.py"
LIMIT_S = 90


@pytest.fixture(scope="module")
def shown():
    """The document."""
    return json.loads(openapi_document(ROUTES))


def operations(shown):
    return {
        (method.upper(), path): operation
        for path, methods in shown["paths"].items()
        for method, operation in methods.items()
    }


def test_every_route_and_code_is_documented(shown):
    """Each route has its statuses, and each status lists exactly the codes that the route can answer."""
    documented = operations(shown)
    assert {(route.method, route.path) for route in ROUTES} <= set(documented)
    for route in ROUTES:
        responses = documented[route.method, route.path]["responses"]
        codes = set()
        for status, response in responses.items():
            if status not in (str(route.status), "202"):
                narrowed = response["content"]["application/problem+json"]["schema"]["allOf"][1]
                codes |= set(narrowed["properties"]["code"]["enum"])
        assert codes == set(route.all_codes)
        accepted = {str(route.status), *(["202"] if route.command else [])}
        assert {str(ERROR_CODES[code].status) for code in codes} | accepted == set(responses)


def test_every_code_of_the_table_is_used(shown):
    """A code that no route and no operation can answer would be a promise without a place."""
    used = {code for route in ROUTES for code in route.all_codes}
    assert set(ERROR_CODES) - used == {"METHOD_NOT_ALLOWED"}  # of the router


def test_keys_tokens_and_ids_are_documented(shown):
    """Keyed routes require the key, closed ones a token, and every id of a path is described."""
    documented = operations(shown)
    for route in ROUTES:
        operation = documented[route.method, route.path]
        names = {(each["in"], each["name"]) for each in operation["parameters"]}
        assert (("header", "Idempotency-Key") in names) == route.keyed
        assert ("security" in operation) == (route.access is not Access.ANYONE)
        assert {("path", name) for name in re.findall(r"{(\w+)}", route.path)} <= names
        assert ("requestBody" in operation) == (route.body is not None or route.notified is not None)


def test_every_post_of_a_client_is_keyed():
    """No POST can be sent twice by accident; a notice of a payment gateway carries the id of its event."""
    assert all(route.keyed != (route.notified is not None) for route in ROUTES if route.method == "POST")


def test_the_document_is_sound(shown):
    """Operation ids are unique, references lead somewhere, links lead to operations, schemas are JSON Schema."""
    ids = Counter(operation["operationId"] for operation in operations(shown).values())
    assert max(ids.values()) == 1
    text = json.dumps(shown)
    for name in re.findall(r'"#/components/schemas/([^"]+)"', text):
        assert name in shown["components"]["schemas"]
    assert set(re.findall(r'"operationId": "(\w+)", "parameters"', text)) <= set(ids)
    assert r"\\Z" not in text
    for schema in shown["components"]["schemas"].values():
        jsonschema_rs.validator_for({**schema, "components": shown["components"]})


async def test_the_document_is_served(client):
    """/openapi.json is that document, open to anyone."""
    answer = await client.get("/openapi.json", token="")
    assert answer.content == openapi_document(ROUTES)


async def test_options_names_every_method_of_a_path(client):
    """OPTIONS on a path with two methods names both, and HEAD, which goes with GET."""
    answer = await client.send("OPTIONS", "/v1/products")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST", "OPTIONS"}


def search(folder, service, *words, hooks=str(HOOKS)):
    """Let schemathesis look for answers that break the document."""
    tool = [sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/openapi.json", "--seed", "1", *words]
    tool += ["--max-examples", "10", "--no-color", "--header", f"Authorization: Bearer {token('root', admin=True)}"]
    env = {**os.environ, "COLUMNS": "200", **({"SCHEMATHESIS_HOOKS": hooks} if hooks else {})}
    options = {"capture_output": True, "text": True, "timeout": LIMIT_S}
    return subprocess.run(tool, cwd=folder, env=env, check=False, **options)


@pytest.mark.timeout(2 * LIMIT_S)
def test_schemathesis_finds_nothing(tmp_path):
    """Made-up valid, invalid and chained requests meet only documented answers, no 500, and leave a sound database."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    asyncio.run(prepared(url))
    with Service(tmp_path, database=url) as service:
        found = search(tmp_path, service, "--phases", "coverage,fuzzing,stateful")
        assert found.returncode == 0, found.stdout[-6000:]
        assert "unexpected" not in service.log.read_text()
        # The control: without the hook that makes keys unique, the same search does find something.
        one = ("--phases", "coverage", "--include-path", "/v1/users/{user_id}/point-charges")
        assert search(tmp_path, service, *one, hooks="").returncode == 1
        assert service.stop() == 0
    figures, violations = asyncio.run(audited(url))
    assert violations == []
    assert sum(figures.orders.values()) > 0, "no made-up order was accepted"

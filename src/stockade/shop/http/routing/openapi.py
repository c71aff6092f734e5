"""The OpenAPI 3.1 document, made from the routes and the table of error codes, so that it cannot drift from them.

Neighbour: `app` serves it at /openapi.json. Tests check every response of the application against it.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec

from stockade import __version__
from stockade.identity.user_ids import MAX_SUBJECT
from stockade.shop.http.requests.authorization import Access
from stockade.shop.http.requests.idempotency import MAX_KEY_LENGTH
from stockade.shop.http.requests.request_schemas import DEPENDENT_MEMBERS, ID_PATTERN
from stockade.shop.http.responses.error_codes import ERROR_CODES
from stockade.shop.http.responses.response_schemas import Queued
from stockade.shop.http.routing.openapi_examples import complete, example_of
from stockade.shop.http.routing.problem_schema import PROBLEM, problem_examples
from stockade.shop.http.routing.route import Route
from stockade.shop.http.routing.service_routes import SERVICE_OPERATIONS

_REF = "#/components/schemas/{name}"
_ID = {"type": "string", "pattern": ID_PATTERN.replace(r"\Z", "$")}
_USER_ID = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_SUBJECT,
    "pattern": r"^[^/\x00-\x1f\x7f-\x9f]+$",
}
_WAITS = (429, 503, 504)
_RETRY_AFTER = {
    "schema": {"type": "integer", "format": "int32"},
    "description": "Seconds until the request may be sent again.",
    "example": 1,
}
_IDS = {
    "product_id": ("Id of the product.", "product-1"),
    "sku_id": ("Id of the SKU.", "sku-1"),
    "user_id": ("The `user_id` that the service shows, or the user's name at the identity provider.", "user-1"),
    "order_id": ("Id of the order.", "019a5c3e7c00b0c1d2e3f40516273849"),
    "payment_id": ("Id of the payment.", "019a5c3e7d10b0c1d2e3f40516273849"),
    "charge_id": ("Id of the charge.", "019a5c3e7e20b0c1d2e3f40516273849"),
    "gateway": ("Name of the payment gateway, as in the setting `gateway`.", "toss"),
}
_TAGS = {
    "products": "Products and their SKUs.",
    "skus": "The stock of a SKU.",
    "users": "What belongs to one user: points, cart, orders.",
    "orders": "Orders: place, read, pay, cancel.",
    "payments": "Payments of orders and charges.",
    "point-charges": "Charges of points through the payment gateway.",
    "pg": "For the payment gateway itself.",
    "admin": "Lists for administrators.",
    "audit": "The proof that nothing was sold or charged twice.",
    "service": "The service itself: health, metrics, this document.",
}
_QUEUED_SCHEMA = {"$ref": "#/components/schemas/Queued"}
_QUEUED = {
    "description": "Queued, not decided yet (only where the service runs under the strategy `kafka`)",
    "content": {"application/json": {"schema": _QUEUED_SCHEMA}},
    "headers": {
        "Location": {
            "schema": {"type": "string", "format": "uri-reference"},
            "description": "Of an order: where its outcome will be.",
            "example": "/v1/orders/019a5c3e7c00b0c1d2e3f40516273849?pending=1772357400000.c2lnbmF0dXJl",
        },
        "Retry-After": _RETRY_AFTER,
        "Preference-Applied": {
            "schema": {"const": "respond-async"},
            "description": "The client preferred not to wait, and the service did not.",
            "example": "respond-async",
        },
    },
}
_OPEN = {
    "description": "It is not known yet what the payment gateway did, see `Location`; or it is queued under `kafka`",
    "headers": {
        "Location": {
            "schema": {"type": "string", "format": "uri-reference"},
            "description": "Where the outcome will be; absent when it is queued.",
            "example": "/v1/payments/019a5c3e7d10b0c1d2e3f40516273849",
        },
        "Retry-After": _RETRY_AFTER,
    },
}
_NOTICE = {
    "required": True,
    "description": "A notification as the gateway defines it; every byte counts for its signature.",
    "content": {"application/json": {"schema": {"type": "object"}, "example": {"eventType": "PAYMENT_STATUS_CHANGED"}}},
}
_PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "`respond-async` (RFC 7240): under the strategy `kafka`, 202 once the command is safe in the log.",
    "schema": {"type": "string"},
    "example": "respond-async",
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "Unique to what you mean: the same key does it once, another key does it again. Bare or quoted.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH, "pattern": "^[!#-~]+$"},
    "example": "019a5c3e-7c00-7abc-8def-0123456789ab",
}


def openapi_document(routes: Iterable[Route]) -> bytes:
    """The document as JSON.

    Args:
        routes: of the API; those of the service itself (health, metrics) are added.
    """
    all_routes = tuple(routes)
    types = [each for route in all_routes for each in _types(route) if each is not None]
    types.append(Queued)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    complete(components)
    for name, rule in DEPENDENT_MEMBERS.items():
        components[name].update(rule)
    found = dict(zip(map(repr, types), schemas, strict=True))
    queries = {route.query.__name__: components[route.query.__name__] for route in all_routes if route.query}
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for route in all_routes:
        paths[route.path][route.method.lower()] = _operation(route, found, queries, components)
    for path, operation in SERVICE_OPERATIONS.items():
        paths[path]["get"] = operation
    body = {
        "openapi": "3.1.0",
        "info": {
            "title": "stockade",
            "version": __version__,
            "description": "An order service whose stock and points stay right under concurrency.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This service."}],
        "tags": [{"name": name, "description": about} for name, about in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": {"Problem": PROBLEM, **{k: v for k, v in components.items() if k not in queries}},
            "examples": problem_examples(),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A JSON Web Token that names the user; `stockade token` prints one for development.",
                }
            },
        },
    }
    return msgspec.json.format(msgspec.json.encode(body).replace(rb"\\Z", b"$"), indent=1)


def _types(route: Route) -> tuple[Any, ...]:
    return route.response, route.body, route.query, route.open_response


def problem_responses(codes: Iterable[str]) -> dict[str, Any]:
    """The error responses of a route by status, each with its codes and their titles."""
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in codes:
        by_status[ERROR_CODES[code].status].append(code)
    return {str(status): _problem_response(status, by_status[status]) for status in sorted(by_status)}


def _problem_response(status: int, codes: list[str]) -> dict[str, Any]:
    narrowed = {"allOf": [{"$ref": _REF.format(name="Problem")}, {"properties": {"code": {"enum": codes}}}]}
    examples = {code: {"$ref": f"#/components/examples/{code}"} for code in codes}
    response: dict[str, Any] = {
        "description": "; ".join(f"{code}: {ERROR_CODES[code].title}" for code in codes),
        "content": {"application/problem+json": {"schema": narrowed, "examples": examples}},
    }
    if status in _WAITS:
        response["headers"] = {"Retry-After": _RETRY_AFTER}
    if status == 401:
        challenge = {"schema": {"type": "string"}, "description": "How to authenticate.", "example": "Bearer"}
        response["headers"] = {"WWW-Authenticate": challenge}
    return response


def _operation(
    route: Route, found: dict[str, Any], queries: dict[str, Any], components: dict[str, Any]
) -> dict[str, Any]:
    parameters = [_id_parameter(name) for name in re.findall(r"{(\w+)}", route.path)]
    if route.query is not None:
        for name, schema in queries[route.query.__name__]["properties"].items():
            plain = {word: value for word, value in schema.items() if word not in ("description", "examples")}
            described = {"description": schema.get("description"), "example": schema["examples"][0], "schema": plain}
            parameters.append({"name": name, "in": "query", "required": False, **described})
    if route.keyed:
        parameters += [_KEY, _PREFER]
    operation: dict[str, Any] = {
        "operationId": _operation_id(route.method, route.path),
        "summary": route.summary,
        "description": route.about + (" For administrators." if route.access is Access.ADMIN else ""),
        "tags": [route.path.split("/")[2]],
        "parameters": parameters,
        "responses": {str(route.status): _accepted(route, found), **problem_responses(route.all_codes)},
    }
    if route.open_response is not None:
        either = {"anyOf": [found[repr(route.open_response)], _QUEUED_SCHEMA]}
        operation["responses"]["202"] = {**_OPEN, "content": {"application/json": {"schema": either}}}
    elif route.command is not None:
        operation["responses"]["202"] = _QUEUED
    if route.notified is not None:
        operation["requestBody"] = _NOTICE
    if route.body is not None:
        schema = found[repr(route.body)]
        content = {"application/json": {"schema": schema, "example": example_of(schema, components)}}
        about = components[route.body.__name__]["description"]
        operation["requestBody"] = {"required": True, "description": about, "content": content}
    if route.access is not Access.ANYONE:
        operation["security"] = [{"bearer": []}]
    return operation


def _id_parameter(name: str) -> dict[str, Any]:
    about, example = _IDS[name]
    schema = _USER_ID if name == "user_id" else _ID
    return {"name": name, "in": "path", "required": True, "description": about, "example": example, "schema": schema}


def _accepted(route: Route, found: dict[str, Any]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": "Done"}
    if route.response is not None:
        response["content"] = {"application/json": {"schema": found[repr(route.response)]}}
    if route.links:
        response["links"] = {
            f"{link.method.lower()}_{link.parameter}_{number}": {
                "operationId": _operation_id(link.method, link.path),
                "parameters": {link.parameter: f"$response.body#/{link.member}"},
            }
            for number, link in enumerate(route.links, 1)
        }
    if route.keyed:
        about = "The answer is a replay of the first one to this key."
        shown = {"schema": {"const": "true"}, "description": about, "example": "true"}
        response["headers"] = {"Idempotent-Replayed": shown}
    if route.location:
        where = {
            "schema": {"type": "string", "format": "uri-reference"},
            "description": "The path of what was made.",
            "example": "/v1/orders/019a5c3e7c00b0c1d2e3f40516273849",
        }
        response["headers"] = {**response.get("headers", {}), "Location": where}
    return response


def _operation_id(method: str, path: str) -> str:
    words = re.sub(r"[{}]", "", path.removeprefix("/v1/")).replace("/", "_").replace("-", "_")
    return f"{method.lower()}_{words}"

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
from stockade.shop.http.requests.request_schemas import ID_PATTERN
from stockade.shop.http.responses.error_codes import ERROR_CODES
from stockade.shop.http.responses.response_schemas import Queued
from stockade.shop.http.routing.route import Route
from stockade.shop.http.routing.service_routes import SERVICE_OPERATIONS

_REF = "#/components/schemas/{name}"
_ID = {"type": "string", "pattern": ID_PATTERN.replace(r"\Z", "$")}
_USER_ID = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_SUBJECT,
    "pattern": r"^[^/\x00-\x1f\x7f-\x9f]+$",
    "description": "The `user_id` that the service shows, or the user's name at the identity provider.",
}
_WAITS = (429, 503, 504)
_PROBLEM = {
    "title": "Problem",
    "description": "RFC 9457. `code` is the one to act on; further members depend on it.",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "retryable", "outcome"],
    "properties": {
        "type": {"type": "string", "description": "urn:stockade:problem:CODE"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "enum": sorted(ERROR_CODES)},
        "detail": {"type": "string", "description": "What is particular about this occurrence."},
        "retryable": {"type": "boolean", "description": "Whether the same request, same key, may be sent again."},
        "outcome": {"enum": ["none", "unknown"], "description": "What is known about the effect."},
        "shortages": {
            "type": "array",
            "description": "OUT_OF_STOCK: every short line.",
            "items": {
                "type": "object",
                "required": ["sku_id", "requested", "available"],
                "properties": {
                    "sku_id": {"type": "string"},
                    "requested": {"type": "integer"},
                    "available": {"type": "integer"},
                },
            },
        },
    },
}
_QUEUED = {
    "description": "Queued, not decided yet (only where the service runs under the strategy `kafka`)",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Queued"}}},
    "headers": {
        "Location": {"schema": {"type": "string"}, "description": "Of an order: where to look."},
        "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."},
        "Preference-Applied": {"schema": {"const": "respond-async"}, "description": "It was preferred, and done."},
    },
}
_PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "`respond-async` (RFC 7240): under the strategy `kafka`, 202 once the command is safe in the log.",
    "schema": {"type": "string"},
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "Unique to what you mean: the same key does it once, another key does it again. Bare or quoted.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH, "pattern": "^[!#-~]+$"},
}


def openapi_document(routes: Iterable[Route]) -> bytes:
    """The document as JSON.

    Args:
        routes: of the API; those of the service itself (health, metrics) are added.
    """
    all_routes = tuple(routes)
    types = [each for route in all_routes for each in (route.response, route.body, route.query) if each is not None]
    types.append(Queued)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    found = dict(zip(map(repr, types), schemas, strict=True))
    queries = {route.query.__name__: components[route.query.__name__] for route in all_routes if route.query}
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for route in all_routes:
        paths[route.path][route.method.lower()] = _operation(route, found, queries)
    for path, operation in SERVICE_OPERATIONS.items():
        paths[path]["get"] = operation
    body = {
        "openapi": "3.1.0",
        "info": {
            "title": "stockade",
            "version": __version__,
            "description": "An order service whose stock and points stay right under concurrency.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Problem": _PROBLEM, **{k: v for k, v in components.items() if k not in queries}},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }
    return msgspec.json.format(msgspec.json.encode(body).replace(rb"\\Z", b"$"), indent=1)


def problem_responses(codes: Iterable[str]) -> dict[str, Any]:
    """The error responses of a route by status, each with its codes and their titles."""
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in codes:
        by_status[ERROR_CODES[code].status].append(code)
    return {str(status): _problem_response(status, by_status[status]) for status in sorted(by_status)}


def _problem_response(status: int, codes: list[str]) -> dict[str, Any]:
    narrowed = {"allOf": [{"$ref": _REF.format(name="Problem")}, {"properties": {"code": {"enum": codes}}}]}
    response: dict[str, Any] = {
        "description": "; ".join(f"{code}: {ERROR_CODES[code].title}" for code in codes),
        "content": {"application/problem+json": {"schema": narrowed}},
    }
    if status in _WAITS:
        response["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    if status == 401:
        response["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return response


def _operation(route: Route, found: dict[str, Any], queries: dict[str, Any]) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": _USER_ID if name == "user_id" else _ID}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    if route.query is not None:
        properties = queries[route.query.__name__]["properties"]
        parameters += [
            {"name": name, "in": "query", "required": False, "schema": schema} for name, schema in properties.items()
        ]
    if route.keyed:
        parameters += [_KEY, _PREFER]
    operation: dict[str, Any] = {
        "operationId": _operation_id(route.method, route.path),
        "summary": route.summary,
        "tags": [route.path.split("/")[2]],
        "parameters": parameters,
        "responses": {str(route.status): _accepted(route, found), **problem_responses(route.all_codes)},
    }
    if route.command is not None:
        operation["responses"]["202"] = _QUEUED
    if route.body is not None:
        content = {"application/json": {"schema": found[repr(route.body)]}}
        operation["requestBody"] = {"required": True, "content": content}
    if route.access is not Access.ANYONE:
        operation["security"] = [{"bearer": []}]
    if route.access is Access.ADMIN:
        operation["description"] = "For administrators."
    return operation


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
        shown = {"schema": {"const": "true"}, "description": "The answer is a replay of the first one to this key."}
        response["headers"] = {"Idempotent-Replayed": shown}
    if route.location:
        where = {"schema": {"type": "string"}, "description": "The path of what was made."}
        response["headers"] = {**response.get("headers", {}), "Location": where}
    return response


def _operation_id(method: str, path: str) -> str:
    words = re.sub(r"[{}]", "", path.removeprefix("/v1/")).replace("/", "_").replace("-", "_")
    return f"{method.lower()}_{words}"

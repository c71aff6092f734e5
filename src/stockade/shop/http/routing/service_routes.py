"""The routes of the service itself: alive, ready, metrics, the OpenAPI document. Open to anyone, without a limit: what
costs a query is shared by all who ask at the same time, and kept for a moment.

Neighbours: `app` mounts them beside the routes of the API; `openapi` shows `SERVICE_OPERATIONS`.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.types import Receive, Scope

from stockade.shop.http.responses.problems import problem, unexpected
from stockade.shop.http.responses.response import Handler, Response
from stockade.shop.http.responses.response_cache import ResponseCache
from stockade.shop.http.routing.app_state import AppState
from stockade.shop.http.routing.readiness import readiness_problems
from stockade.shop.operations.metrics import CONTENT_TYPE

READY_KEPT_S = 0.5
_OK = b'{"status":"ok"}'
_HEALTH = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"const": "ok", "description": "Always ok.", "examples": ["ok"]}},
    "additionalProperties": False,
}


def _operation(id_: str, summary: str, about: str, media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    content = {media_type: {"schema": schema}}
    responses: dict[str, Any] = {"200": {"description": "Done", "content": content}}
    words = {"operationId": id_, "summary": summary, "description": about, "tags": ["service"]}
    return {**words, "responses": responses}


SERVICE_OPERATIONS: dict[str, dict[str, Any]] = {
    "/healthz": _operation(
        "healthz", "Whether the process answers", "Reads nothing: for a supervisor.", "application/json", _HEALTH
    ),
    "/readyz": _operation(
        "readyz",
        "Whether orders can be taken now",
        "Asks the database and the servers of the strategies: for a load balancer.",
        "application/json",
        _HEALTH,
    ),
    "/metrics": _operation(
        "metrics", "Metrics for Prometheus", "Of all serving processes together.", "text/plain", {"type": "string"}
    ),
    "/openapi.json": _operation(
        "openapi", "This document", "OpenAPI 3.1; `/docs` shows it.", "application/json", {"type": "object"}
    ),
}
SERVICE_OPERATIONS["/readyz"]["responses"]["503"] = {
    "description": "NOT_READY",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def service_handlers(state: AppState, document: bytes) -> dict[str, Handler]:
    """The handlers of GET, by path.

    Args:
        state: of the application.
        document: the OpenAPI document.
    """

    async def healthz() -> Response:
        return Response(200, _OK)

    kept = ResponseCache(READY_KEPT_S)

    async def readyz() -> Response:
        if state.concurrency.stopping:  # said at once: the time to notice it is short
            return await ready()
        return await kept.get("/readyz", ready)

    async def ready() -> Response:
        problems = await readiness_problems(state)
        if problems:
            return problem("NOT_READY", "; ".join(problems), extra={"problems": problems})
        return Response(200, _OK)

    async def metrics() -> Response:
        await state.backlog.refresh()
        state.refresh_metrics()
        return Response(200, state.metrics.exposition(), CONTENT_TYPE)

    async def openapi() -> Response:
        return Response(200, document)

    handlers = {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics, "/openapi.json": openapi}
    return {path: _catch_errors(handler) for path, handler in handlers.items()}


def _catch_errors(handler: Callable[[], Awaitable[Response]]) -> Handler:
    async def answer(scope: Scope, receive: Receive) -> Response:
        try:
            return await handler()
        except Exception as error:  # noqa: BLE001  # the edge: whatever happens, the client gets a problem body
            return unexpected(error, path=scope["path"])

    return answer

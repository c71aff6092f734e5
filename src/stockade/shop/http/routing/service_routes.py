"""The routes of the service itself: alive, ready, metrics, the document. Open to anyone, bounded by nothing.

Neighbours: `app` mounts them beside the routes of the API; `openapi` shows `OPERATIONS`.
"""

import time
from typing import Any

from litestar import Request, get
from litestar.handlers import HTTPRouteHandler

from stockade.core import Busy
from stockade.shop.http.responses.problems import problem
from stockade.shop.http.responses.response import Reply
from stockade.shop.http.routing.app_state import Desk
from stockade.shop.migrations import SCHEMA
from stockade.shop.operations.metrics import CONTENT_TYPE
from stockade.store.schema.migrate import shown

_OK = b'{"status":"ok"}'
_HEALTH = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"const": "ok"}},
    "additionalProperties": False,
}


def _shown(id_: str, summary: str, media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    content = {media_type: {"schema": schema}}
    responses: dict[str, Any] = {"200": {"description": "Done", "content": content}}
    return {"operationId": id_, "summary": summary, "tags": ["service"], "responses": responses}


OPERATIONS: dict[str, dict[str, Any]] = {
    "/healthz": _shown("healthz", "Whether the process answers", "application/json", _HEALTH),
    "/readyz": _shown("readyz", "Whether orders can be taken now", "application/json", _HEALTH),
    "/metrics": _shown("metrics", "Metrics for Prometheus", "text/plain", {"type": "string"}),
    "/openapi.json": _shown("openapi", "This document", "application/json", {"type": "object"}),
}
OPERATIONS["/readyz"]["responses"]["503"] = {
    "description": "NOT_READY",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


async def problems_of(desk: Desk) -> list[str]:
    """Why orders cannot be taken now; empty when they can. Within `wait_s`, as an order."""
    if desk.gate.stopping:
        return ["the process is stopping"]
    registration = desk.shop.registration
    if registration is not None and registration.refused:
        return [registration.refused]
    wait_s = desk.settings.wait_s
    end = time.monotonic() + wait_s
    try:
        revisions = await SCHEMA.revisions(desk.shop.database, timeout_s=wait_s)
        await desk.shop.database.check_writable(timeout_s=max(end - time.monotonic(), 0.0))
    except Busy as busy:
        return [f"the database cannot be used: {busy.code}"]
    wanted = SCHEMA.newest()
    if revisions == wanted:
        return []
    found = shown(revisions) if any(revisions.values()) else "missing"
    return [f"the schema is {found}, not {shown(wanted)}: run stockade migrate"]


def operation_handlers(desk: Desk, document: bytes) -> list[HTTPRouteHandler]:
    """The handlers.

    Args:
        desk: of the application.
        document: the OpenAPI document.
    """

    @get("/healthz")
    async def healthz(request: Request[Any, Any, Any]) -> Reply:
        return Reply(200, _OK)

    @get("/readyz")
    async def readyz(request: Request[Any, Any, Any]) -> Reply:
        wrong = await problems_of(desk)
        return problem("NOT_READY", "; ".join(wrong), extra={"problems": wrong}) if wrong else Reply(200, _OK)

    @get("/metrics")
    async def metrics(request: Request[Any, Any, Any]) -> Reply:
        await desk.lags.refresh()
        desk.refresh()
        return Reply(200, desk.metrics.exposition(), CONTENT_TYPE)

    @get("/openapi.json")
    async def openapi(request: Request[Any, Any, Any]) -> Reply:
        return Reply(200, document)

    return [healthz, readyz, metrics, openapi]

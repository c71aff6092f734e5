"""Serves `/metrics` on an address of its own, and there nothing else but whether the process is alive and ready.

The server passes every connection of both sockets to one application; the port tells which socket it came by.
Neighbours: `app` wraps the router with it; `server` binds both sockets and says which port is that of the metrics.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from stockade.shop.http.responses.problems import problem

METRICS = "/metrics"
_HERE = frozenset({METRICS, "/healthz", "/readyz"})


class MetricsAddress:
    """An application that answers `/metrics` by one port only.

    Args:
        app: answers the requests.
        port: of the metrics.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app, self._port = app, port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        server = scope.get("server")
        by_metrics_port = server is not None and server[1] == self._port
        if by_metrics_port and path not in _HERE:
            reply = problem("NOT_FOUND", f"{scope['method']} {path}: here are only {', '.join(sorted(_HERE))}")
        elif path == METRICS and not by_metrics_port:
            reply = problem("NOT_FOUND", f"{scope['method']} {path}: metrics have an address of their own")
        else:
            await self._app(scope, receive, send)
            return
        await reply(scope, receive, send)

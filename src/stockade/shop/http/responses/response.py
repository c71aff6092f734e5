"""A response whose body is encoded already, sent as two ASGI messages.

Starlette's response class would render the body and encode every header anew for each request.
"""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.types import Message, Receive, Scope, Send

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

JSON = b"application/json"
PROBLEM_JSON = b"application/problem+json"


class Response:
    """Status, body, media type and further headers of one response.

    An empty `media_type` stands for a response without a body (204).
    """

    __slots__ = ("body", "headers", "media_type", "status")

    def __init__(self, status: int, body: bytes, media_type: bytes = JSON, headers: Headers = ()) -> None:
        self.status = status
        self.body = body
        self.media_type = media_type
        self.headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [*self.headers]
        if self.media_type:
            headers += ((b"content-type", self.media_type), (b"content-length", b"%d" % len(self.body)))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


Handler = Callable[[Scope, Receive], Awaitable[Response]]
"""Answers one request."""


def without_body(send: Send) -> Send:
    """Sends the same response with its headers and no body."""

    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.body":
            message["body"] = b""
        await send(message)

    return send_head

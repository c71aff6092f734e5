"""Reads the parts of a request: the headers that the API uses, the body within its limits, the query string.

Neighbour: `endpoint` calls these, the cheapest check first.
"""

import asyncio
import re
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Message, Receive, Scope

from stockade.shop.http.requests.duplicate_members import repeated_member
from stockade.shop.http.responses.problems import ProblemError

_MAX_PARAMETERS = 20


class RequestHeaders(NamedTuple):
    """The headers that the API uses; None where absent.

    Attributes:
        repeated: name of a header that stands twice and must not.
        respond_async: the client prefers a response before its command is decided (RFC 7240).
    """

    authorization: bytes | None
    key: bytes | None
    content_type: bytes | None
    repeated: bytes | None
    respond_async: bool = False


class ClientDisconnected(Exception):
    """The client closed the connection before its body had arrived."""


def read_headers(scope: Scope) -> RequestHeaders:
    """One pass over the headers."""
    authorization = key = content_type = repeated = None
    respond_async = False
    for name, value in scope["headers"]:
        if name == b"authorization":
            repeated = name if authorization is not None else repeated
            authorization = value
        elif name == b"idempotency-key":
            repeated = name if key is not None else repeated
            key = value
        elif name == b"content-type":
            content_type = value
        elif name == b"prefer":
            respond_async = respond_async or _prefers(value, b"respond-async")
    return RequestHeaders(authorization, key, content_type, repeated, respond_async)


def _prefers(value: bytes, wanted: bytes) -> bool:
    """Whether a Prefer header names this preference, alone or among others; their parameters are ignored (RFC 7240)."""
    return any(each.partition(b";")[0].strip(b" \t").lower() == wanted for each in value.split(b","))


def require_json(content_type: bytes | None) -> None:
    """Refuse a media type other than JSON in UTF-8; a body without one is taken for JSON.

    Raises:
        ProblemError: UNSUPPORTED_MEDIA_TYPE.
    """
    if content_type is None or content_type == b"application/json":
        return
    media, _, parameters = content_type.partition(b";")
    charset = parameters.strip().lower().replace(b'"', b"")
    if media.strip().lower() != b"application/json" or charset not in (b"", b"charset=utf-8"):
        raise ProblemError("UNSUPPORTED_MEDIA_TYPE", "send application/json in UTF-8")


async def read_body(receive: Receive, max_bytes: int, wait_s: float) -> bytes:
    """The whole body.

    Args:
        receive: of the ASGI connection.
        max_bytes: the largest body.
        wait_s: the longest time it may take to arrive, in seconds.

    Raises:
        ProblemError: BODY_TOO_LARGE or BODY_TIMEOUT.
        ClientDisconnected: the connection was closed.
    """
    body = bytearray()
    first = _receive_if_ready(receive)
    if first is not None and _append(first, body, max_bytes):
        return bytes(body)
    try:
        async with asyncio.timeout(wait_s):
            while not _append(await receive(), body, max_bytes):
                pass  # until the last part
    except TimeoutError:
        late = f"the body did not arrive within {wait_s:g} seconds"
        raise ProblemError("BODY_TIMEOUT", late, ((b"connection", b"close"),)) from None  # RFC 9110, 15.5.9
    return bytes(body)


def _receive_if_ready(receive: Receive) -> Message | None:
    """The next message if it has arrived already; else None, and nothing is taken.

    A small body arrives with its headers, and a timer for it would cost more CPU time than to read it.
    """
    waiting = receive().__await__()
    try:
        next(waiting)
    except StopIteration as ended:
        message: Message = ended.value
        return message
    waiting.close()  # as a cancellation would
    return None


def _append(message: Message, body: bytearray, max_bytes: int) -> bool:
    """Append the message's part to the body; returns whether it was the last one."""
    if message["type"] != "http.request":
        raise ClientDisconnected
    body += message.get("body", b"")
    if len(body) > max_bytes:
        raise ProblemError("BODY_TOO_LARGE", f"a body may have at most {max_bytes:,} bytes")
    return not message.get("more_body", False)


def decode_body(raw: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    """The body as the decoder's type.

    Raises:
        ProblemError: INVALID_REQUEST, with what is wrong and where.
    """
    try:
        body = decoder.decode(raw)
    except msgspec.MsgspecError as error:
        raise ProblemError("INVALID_REQUEST", f"{error}{_allowed_words(str(error), decoder.type)}") from None
    except (UnicodeDecodeError, RecursionError):
        raise ProblemError("INVALID_REQUEST", "the body is not JSON in UTF-8 of reasonable depth") from None
    repeated = repeated_member(raw, body)
    if repeated is not None:
        raise ProblemError("INVALID_REQUEST", f"the member {repeated!r:.100} stands twice in one object of the body")
    return body


def _allowed_words(error: str, shape: Any) -> str:
    """The words that are allowed, where the error is about a word of a member at the top level."""
    wrong = re.fullmatch(r"Invalid enum value .* - at `\$\.(\w+)`", error, re.DOTALL)
    if wrong is None:
        return ""
    hint = get_type_hints(shape)[wrong[1]]
    found = [each for each in (hint, *get_args(hint)) if get_origin(each) is Literal]
    return "".join(f"; available: {', '.join(map(str, get_args(each)))}" for each in found)


def read_query(raw: bytes, shape: Any) -> Any:
    """The query string as an instance of `shape`; each parameter at most once.

    Raises:
        ProblemError: INVALID_REQUEST, with what is wrong.
    """
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS)
        values = dict(pairs)
        if len(values) < len(pairs):
            raise ProblemError("INVALID_REQUEST", "a parameter stands twice in the query string")
        return msgspec.convert(values, shape, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        detail = f"query string: {error}{_allowed_words(str(error), shape)}"
        raise ProblemError("INVALID_REQUEST", detail) from None

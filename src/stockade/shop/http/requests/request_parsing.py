"""Reading a request's raw parts: the headers that matter, the body within its bounds, the query string.

Neighbours: `endpoint` calls these in the order in which a request is refused most cheaply.
"""

import asyncio
import re
from typing import Any, NamedTuple, get_args, get_type_hints
from urllib.parse import parse_qsl

import msgspec
from litestar.types import Receive, ReceiveMessage, Scope

from stockade.shop.http.requests.duplicate_members import repeated_member
from stockade.shop.http.responses.problems import Refusal

_MAX_PARAMETERS = 20


class Head(NamedTuple):
    """The headers that the API looks at; None where absent. `repeated` names the first one that stands twice.

    `respond_async`: the client prefers an answer before its command is decided (RFC 7240).
    """

    authorization: bytes | None
    key: bytes | None
    content_type: bytes | None
    repeated: bytes | None
    respond_async: bool = False


class ClientGone(Exception):
    """The client closed the connection before its body had arrived; nobody is left to answer."""


def read_head(scope: Scope) -> Head:
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
    return Head(authorization, key, content_type, repeated, respond_async)


def _prefers(value: bytes, wanted: bytes) -> bool:
    """Whether a Prefer header names this preference, alone or among others; their parameters are ignored (RFC 7240)."""
    return any(each.partition(b";")[0].strip(b" \t").lower() == wanted for each in value.split(b","))


def check_json(content_type: bytes | None) -> None:
    """Refuse a body that says it is anything but JSON in UTF-8; one that says nothing is taken for JSON.

    Raises:
        Refusal: UNSUPPORTED_MEDIA_TYPE.
    """
    if content_type is None or content_type == b"application/json":
        return
    media, _, parameters = content_type.partition(b";")
    charset = parameters.strip().lower().replace(b'"', b"")
    if media.strip().lower() != b"application/json" or charset not in (b"", b"charset=utf-8"):
        raise Refusal("UNSUPPORTED_MEDIA_TYPE", "send application/json in UTF-8")


async def read_body(receive: Receive, most_bytes: int, wait_s: float) -> bytes:
    """The whole body.

    Args:
        receive: of the ASGI connection.
        most_bytes: the largest body.
        wait_s: the longest time it may take to arrive, in seconds.

    Raises:
        Refusal: BODY_TOO_LARGE or BODY_TIMEOUT.
        ClientGone: the connection was closed.
    """
    body = bytearray()
    first = _at_hand(receive)
    if first is not None and _is_last(first, body, most_bytes):
        return bytes(body)
    try:
        async with asyncio.timeout(wait_s):
            while not _is_last(await receive(), body, most_bytes):
                pass  # as long as a part is missing
    except TimeoutError:
        late = f"the body did not arrive within {wait_s:g} seconds"
        raise Refusal("BODY_TIMEOUT", late, ((b"connection", b"close"),)) from None  # RFC 9110, 15.5.9
    return bytes(body)


def _at_hand(receive: Receive) -> ReceiveMessage | None:
    """The next message if it is there already; else None, and nothing is taken.

    A small body comes with its head: a timer for it would cost more than to read it (5 of 24 µs of CPU a request).
    """
    coming = receive().__await__()
    try:
        next(coming)
    except StopIteration as ended:
        message: ReceiveMessage = ended.value
        return message
    coming.close()  # as a cancellation would
    return None


def _is_last(message: ReceiveMessage, body: bytearray, most_bytes: int) -> bool:
    """Add the message's part to the body, and say whether that was all."""
    if message["type"] != "http.request":
        raise ClientGone
    body += message.get("body", b"")
    if len(body) > most_bytes:
        raise Refusal("BODY_TOO_LARGE", f"a body may have at most {most_bytes:,} bytes")
    return not message.get("more_body", False)


def decode_body(raw: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    """The body as the decoder's type.

    Raises:
        Refusal: INVALID_REQUEST, with what is wrong and where; for a word that is not allowed, with those that are; or
            a member stands twice.
    """
    try:
        body = decoder.decode(raw)
    except msgspec.MsgspecError as error:
        raise Refusal("INVALID_REQUEST", f"{error}{_instead(str(error), decoder.type)}") from None
    except (UnicodeDecodeError, RecursionError):
        raise Refusal("INVALID_REQUEST", "the body is not JSON in UTF-8 of reasonable depth") from None
    twice = repeated_member(raw, body)
    if twice is not None:
        raise Refusal("INVALID_REQUEST", f"the member {twice!r:.100} stands twice in one object of the body")
    return body


def _instead(error: str, shape: Any) -> str:
    """The words that a member allows, when the error is about a word of a member at the top."""
    wrong = re.fullmatch(r"Invalid enum value .* - at `\$\.(\w+)`", error, re.DOTALL)
    if wrong is None:
        return ""
    allowed = get_args(get_type_hints(shape)[wrong[1]])
    return f"; available: {', '.join(map(str, allowed))}"


def read_query(raw: bytes, shape: Any) -> Any:
    """The query string as an instance of `shape`; each parameter at most once.

    Raises:
        Refusal: INVALID_REQUEST, with what is wrong.
    """
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS)
        values = dict(pairs)
        if len(values) < len(pairs):
            raise Refusal("INVALID_REQUEST", "a parameter stands twice in the query string")
        return msgspec.convert(values, shape, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise Refusal("INVALID_REQUEST", f"query string: {error}") from None

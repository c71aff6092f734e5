"""The Idempotency-Key header: reading it, and letting duplicates wait for the first request of this process.

The key's effect is not kept here: it becomes the command's request id, which the store records in the effect's own
transaction. Neighbours: `endpoint` calls both; across processes the store makes the duplicate wait.
Source: IETF draft-ietf-httpapi-idempotency-key-header-07.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable

from stockade.core import Command, IdempotencyKeyReused, Outcome, Unknown
from stockade.shop.http.responses.problems import Refusal, retry_after

MAX_KEY_LENGTH = 255
_BARE = re.compile(rb"[!#-~](?:[ !#-~]*[!#-~])?\Z")
_QUOTED = re.compile(rb'"((?:[ !#-\[\]-~]|\\["\\])*)"\Z')
_ESCAPED = re.compile(rb"\\(.)")


def read_key(header: bytes | None) -> str:
    """The key in the header: a structured string (RFC 8941, `"…"`) as the draft says, or the bare text most send.

    Raises:
        Refusal: IDEMPOTENCY_KEY_MISSING, or IDEMPOTENCY_KEY_INVALID when it is empty, longer than 255 characters, or
            holds anything but printable ASCII.
    """
    if header is None:
        raise Refusal("IDEMPOTENCY_KEY_MISSING", "send an Idempotency-Key header that is unique to what you mean")
    text = header.strip(b" \t")
    quoted = _QUOTED.match(text)
    if quoted:
        text = _ESCAPED.sub(rb"\1", quoted[1])
    elif not _BARE.match(text):
        raise _invalid()
    if not 1 <= len(text) <= MAX_KEY_LENGTH:
        raise _invalid()
    return text.decode("ascii")


def _invalid() -> Refusal:
    return Refusal(
        "IDEMPOTENCY_KEY_INVALID", f"the key must have 1 to {MAX_KEY_LENGTH} printable ASCII characters, bare or quoted"
    )


class Duplicates:
    """Requests at work in this process, by request id. As large as the number of requests in flight, not more."""

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self._running: dict[str, tuple[str, asyncio.Future[Outcome | Exception]]] = {}

    def __len__(self) -> int:
        return len(self._running)

    async def run(self, command: Command, execute: Callable[[Command], Awaitable[Outcome]]) -> Outcome:
        """Execute the command, or wait for the same request that is at work already and give its outcome as a replay.

        Raises:
            IdempotencyKeyReused: the request at work has other content.
            Refusal: IDEMPOTENCY_IN_PROGRESS, it did not end within `wait_s`.
            Exception: whatever `execute` raises; those who waited get the same.
        """
        first = self._running.get(command.request_id)
        if first is not None:
            return await self._follow(command, *first)
        ended: asyncio.Future[Outcome | Exception] = asyncio.get_running_loop().create_future()
        self._running[command.request_id] = command.fingerprint, ended
        answer: Outcome | Exception = Unknown("the first request was given up before its outcome was known")
        try:
            answer = await execute(command)
            return answer
        except Exception as error:
            answer = error
            raise
        finally:
            del self._running[command.request_id]
            ended.set_result(answer)

    async def _follow(self, command: Command, fingerprint: str, ended: asyncio.Future[Outcome | Exception]) -> Outcome:
        if fingerprint != command.fingerprint:
            raise IdempotencyKeyReused("the key is in use with another request")
        done, _ = await asyncio.wait((ended,), timeout=self._wait_s)
        if not done:
            raise Refusal("IDEMPOTENCY_IN_PROGRESS", "the first request is still at work", retry_after(1))
        answer = ended.result()
        if isinstance(answer, Exception):
            raise answer
        return answer._replace(replayed=True)

"""The Idempotency-Key header: reading it, and making a duplicate wait for the first request in this process.

The key becomes the command's request id, which the store records in the transaction of the effect; there a duplicate in
another process waits too. Neighbour: `endpoint`. Source: IETF draft-ietf-httpapi-idempotency-key-header-07.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable

from stockade.core import Command, IdempotencyKeyReused, Outcome, Unknown
from stockade.shop.http.responses.problems import ProblemError, retry_after

MAX_KEY_LENGTH = 255
_BARE = re.compile(rb"[!#-~](?:[ !#-~]*[!#-~])?\Z")
_QUOTED = re.compile(rb'"((?:[ !#-\[\]-~]|\\["\\])*)"\Z')
_ESCAPED = re.compile(rb"\\(.)")


def read_key(header: bytes | None) -> str:
    """The key in the header: a structured string (RFC 8941, `"…"`) as in the draft, or the bare text that most send.

    Raises:
        ProblemError: IDEMPOTENCY_KEY_MISSING; IDEMPOTENCY_KEY_INVALID, not 1 to 255 printable ASCII characters.
    """
    if header is None:
        raise ProblemError("IDEMPOTENCY_KEY_MISSING", "send an Idempotency-Key header that is unique to what you mean")
    text = header.strip(b" \t")
    quoted = _QUOTED.match(text)
    if quoted:
        text = _ESCAPED.sub(rb"\1", quoted[1])
    elif not _BARE.match(text):
        raise _invalid()
    if not 1 <= len(text) <= MAX_KEY_LENGTH:
        raise _invalid()
    return text.decode("ascii")


def _invalid() -> ProblemError:
    return ProblemError(
        "IDEMPOTENCY_KEY_INVALID", f"the key must have 1 to {MAX_KEY_LENGTH} printable ASCII characters, bare or quoted"
    )


class InFlightRequests:
    """Requests in flight in this process, by request id; never more than the concurrency limit lets in.

    Args:
        wait_s: the longest time that a duplicate waits for the first request, in seconds.
    """

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self._running: dict[str, tuple[str, asyncio.Future[Outcome | Exception]]] = {}

    def __len__(self) -> int:
        return len(self._running)

    async def run(self, command: Command, execute: Callable[[Command], Awaitable[Outcome]]) -> Outcome:
        """Execute the command; or, where the same request is in flight already, return its outcome as a replay.

        Raises:
            IdempotencyKeyReused: the request in flight has other content.
            ProblemError: IDEMPOTENCY_IN_PROGRESS, it did not end within `wait_s`.
            Exception: what `execute` raises; the duplicates that wait raise the same.
        """
        first = self._running.get(command.request_id)
        if first is not None:
            return await self._join(*first, command)
        ended: asyncio.Future[Outcome | Exception] = asyncio.get_running_loop().create_future()
        self._running[command.request_id] = command.fingerprint, ended
        result: Outcome | Exception = Unknown("the first request was cancelled before its outcome was known")
        try:
            result = await execute(command)
            return result
        except Exception as error:
            result = error
            raise
        finally:
            del self._running[command.request_id]
            ended.set_result(result)

    async def _join(self, fingerprint: str, ended: asyncio.Future[Outcome | Exception], command: Command) -> Outcome:
        if fingerprint != command.fingerprint:
            raise IdempotencyKeyReused("the key is in use with another request")
        done, _ = await asyncio.wait((ended,), timeout=self._wait_s)
        if not done:
            raise ProblemError("IDEMPOTENCY_IN_PROGRESS", "the first request is still at work", retry_after(1))
        result = ended.result()
        if isinstance(result, Exception):
            raise result
        return result._replace(replayed=True)

"""A route as data: what it takes, who may call it, what it answers, which error codes it can end in.

`endpoint` handles requests by it and `openapi` documents it, so the document cannot drift from the code. Neighbour:
`routes` lists all of them.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection

from stockade.core import Command, JsonValue
from stockade.identity import Identity
from stockade.shop.config.settings import Settings
from stockade.shop.http.requests.authorization import Access
from stockade.shop.shop import Shop


class RequestContext(NamedTuple):
    """One request, parsed and checked.

    Attributes:
        caller: whom the bearer token names; None on routes for anyone.
        path_ids: the ids in the path, by name.
        body: an instance of the route's `body`, else None.
        query: an instance of the route's `query`, else None.
        request_id: derived from the Idempotency-Key, or a new one on routes without a key; empty on reads.
        fingerprint: hash of path and body; empty on reads.
        now_ms: wall clock in milliseconds since 1970.
        settings: those in force.
    """

    caller: Identity | None
    path_ids: dict[str, str]
    body: Any
    query: Any
    request_id: str
    fingerprint: str
    now_ms: int
    settings: Settings

    @property
    def command_args(self) -> tuple[str, str, int]:
        """The first arguments of every command: request id, fingerprint, wall clock in milliseconds."""
        return self.request_id, self.fingerprint, self.now_ms

    @property
    def user_id(self) -> str:
        """The caller's user id.

        Raises:
            AssertionError: the route is open to anyone, so there is none.
        """
        assert self.caller is not None
        return self.caller.user_id

    @property
    def owner(self) -> str | None:
        """The user whose orders and payments the caller may use; None, everyone's, for administrators."""
        return None if self.caller is not None and self.caller.admin else self.user_id


class Notice(NamedTuple):
    """A request of a payment gateway, as it came: a signature covers every byte of the body.

    Attributes:
        path_ids: the ids in the path, by name.
        headers: with names in lower case.
        body: not read yet.
    """

    path_ids: dict[str, str]
    headers: dict[str, str]
    body: bytes


class Link(NamedTuple):
    """A link of OpenAPI: another route, and the member of the response that is an id in its path."""

    method: str
    path: str
    parameter: str
    member: str


class Ending(NamedTuple):
    """Another response to an accepted command than the usual one: it has not ended, or it ended badly.

    Attributes:
        code: the error code of a problem; empty: the answer is still open, 202.
        location: where the outcome will be, for 202.
    """

    code: str = ""
    location: str = ""


class ShopCommand(Command, Protocol):
    """A command of the shop."""

    def problem(self) -> str | None:
        """What is wrong with its content, known before any row is read; None when nothing is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation of the API. Exactly one of `command`, `read` and `notified` is set.

    Attributes:
        method: of HTTP.
        path: with `{name}` for each id in it.
        summary: one line for the OpenAPI document.
        about: what the summary leaves open, for the OpenAPI document.
        access: who may call it.
        status: of the response to an accepted request.
        response: type of that response's body; None for no body.
        body: type of the request's body.
        query: type of the query string's parameters.
        keyed: whether an Idempotency-Key is required.
        codes: the business error codes it can end in, beside those that its other attributes imply.
        command: makes the command.
        notified: takes a notice of a payment gateway and returns the body of the response; its route needs no key.
        max_notice_bytes: the largest body of a notice.
        read: runs the query; None as result means `missing`.
        missing: the error code for what is not there.
        cached: whether the response may be kept for the setting `cache_s`.
        queued_member: under the strategy `kafka` a command may be answered with 202 before it is decided: the member of
            that response with the id of what the command will make, e.g. `order_id`; empty for none.
        queued_location: path at which the outcome will be, with `{id}` and `{proof}`; the header Location of that
            response. Empty: none.
        pending: of a read: makes the response while the command is queued, from the time at which it was queued.
        links: to other routes, for the OpenAPI document.
        location: path of what a 201 has made, with `{member}` for members of its body; the header Location. Empty: what
            it has made has no path of its own.
        ending: of an accepted command, from its data: another response than `status`; None: that one.
        open_response: type of the body of the 202 that `ending` makes.
        shown: of an accepted command: its data with what the settings add; None: as it is.
        read_wait_s: the longest the read may take, in seconds; the setting `wait_s` when None.
    """

    method: str
    path: str
    summary: str
    about: str
    response: Any
    access: Access = Access.USER
    status: int = 200
    body: Any = None
    query: Any = None
    keyed: bool = False
    codes: tuple[str, ...] = ()
    command: Callable[[RequestContext], ShopCommand] | None = None
    notified: Callable[[Shop, Notice], Awaitable[object]] | None = None
    max_notice_bytes: int = 0
    read: Callable[[Connection, RequestContext], object] | None = None
    missing: str = ""
    cached: bool = False
    queued_member: str = ""
    queued_location: str = ""
    pending: Callable[[RequestContext, int], object] | None = None
    links: tuple[Link, ...] = ()
    location: str = ""
    ending: Callable[[Mapping[str, JsonValue]], "Ending | None"] | None = None
    open_response: Any = None
    shown: Callable[[Mapping[str, JsonValue], Settings], Mapping[str, JsonValue]] | None = None
    read_wait_s: float | None = None

    @property
    def all_codes(self) -> tuple[str, ...]:
        """Every error code that this route can answer."""
        codes = {"TOO_MANY_REQUESTS", "INTERNAL_ERROR", "POOL_EXHAUSTED", "DEPENDENCY_DOWN", "NOT_READY", *self.codes}
        codes |= {"HEADERS_TOO_LARGE", "HEADER_TIMEOUT", "TOO_MANY_CONNECTIONS"}  # before it is known which route
        if self.access is not Access.ANYONE:
            codes |= {"UNAUTHENTICATED"}
        if self.access is Access.ADMIN or "{user_id}" in self.path:
            codes |= {"FORBIDDEN"}
        if "{" in self.path:
            codes |= {"INVALID_REQUEST", "NOT_FOUND"}
        if self.query is not None:
            codes |= {"INVALID_REQUEST"}
        if self.missing:
            codes |= {self.missing}
        if self.body is not None:
            codes |= {"INVALID_REQUEST", "BODY_TOO_LARGE", "BODY_TIMEOUT", "UNSUPPORTED_MEDIA_TYPE"}
        if self.notified is not None:
            codes |= {"BODY_TOO_LARGE", "BODY_TIMEOUT", "OUTCOME_UNKNOWN"}
        if self.keyed:
            codes |= {"IDEMPOTENCY_KEY_MISSING", "IDEMPOTENCY_KEY_INVALID", "IDEMPOTENCY_KEY_REUSED"}
            codes |= {"IDEMPOTENCY_IN_PROGRESS"}
        if self.command is not None:
            codes |= {"CONFLICT_RETRY", "LOCK_TIMEOUT", "LOCK_LOST", "OUTCOME_UNKNOWN"}
        return tuple(sorted(codes))

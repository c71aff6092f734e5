"""A route as data: what it takes, who may call it, what it answers, which codes it can end in.

The walk of a request (`endpoint`) and the OpenAPI document (`openapi`) both read this, so the document cannot drift
from what is done. Neighbours: `routes` lists all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection

from stockade.core import Command
from stockade.shop.config.settings import Settings
from stockade.shop.tokens import Caller


class Access(Enum):
    """Who may call a route. A path with `{user_id}` is open to that user and to administrators only."""

    ANYONE = "anyone"
    USER = "user"
    ADMIN = "admin"


class Call(NamedTuple):
    """One request, checked: who asks, and what for.

    Attributes:
        caller: whom the token speaks for; None on open routes.
        params: the ids in the path, by name.
        body: an instance of the route's `body`, else None.
        query: an instance of the route's `query`, else None.
        request_id: derived from the Idempotency-Key, or fresh on routes without one; empty on reads.
        fingerprint: of path and body.
        now_ms: wall clock in milliseconds since 1970.
        settings: those in force.
    """

    caller: Caller | None
    params: dict[str, str]
    body: Any
    query: Any
    request_id: str
    fingerprint: str
    now_ms: int
    settings: Settings

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
        """Whose things the caller may touch: only the own ones; None, anyone's, for administrators."""
        return None if self.caller is not None and self.caller.admin else self.user_id


class Link(NamedTuple):
    """Where an answer leads: another route, and which member of the answer is which id of its path."""

    method: str
    path: str
    parameter: str
    member: str


class ShopCommand(Command, Protocol):
    """A command of the shop: it can say what is wrong with its content before any row is read."""

    def problem(self) -> str | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation of the API. Exactly one of `command` and `read` is set.

    Attributes:
        method: of HTTP.
        path: with `{name}` for each id in it.
        summary: one line for the document.
        access: who may call it.
        status: of the answer when accepted.
        reply: type of that answer's body; None for no body.
        body: type of the request's body.
        query: type of the query string's parameters.
        keyed: whether an Idempotency-Key is required.
        codes: the business codes it can end in, beside those that its other attributes imply.
        command: makes the command.
        read: queries; None as answer means `missing`.
        missing: the code for what is not there.
        cached: whether the answer may be kept for the setting `cache_s`.
        queued: under a queue strategy a command may be answered with 202 before it is decided: the member of that
            answer which is the id of what it will make, e.g. `order_id`; empty for none.
        pending: for a read: what to answer while it is queued, given the time at which it was taken.
        links: where the answer leads, for the document.
        read_wait_s: the longest the read may take, in seconds; the setting `wait_s` when None.
    """

    method: str
    path: str
    summary: str
    reply: Any
    access: Access = Access.USER
    status: int = 200
    body: Any = None
    query: Any = None
    keyed: bool = False
    codes: tuple[str, ...] = ()
    command: Callable[[Call], ShopCommand] | None = None
    read: Callable[[Connection, Call], object] | None = None
    missing: str = ""
    cached: bool = False
    queued: str = ""
    pending: Callable[[Call, int], object] | None = None
    links: tuple[Link, ...] = ()
    read_wait_s: float | None = None

    @property
    def all_codes(self) -> tuple[str, ...]:
        """Every error code that this route can answer."""
        codes = {"TOO_MANY_REQUESTS", "INTERNAL_ERROR", "POOL_EXHAUSTED", "DEPENDENCY_DOWN", *self.codes}
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
        if self.keyed:
            codes |= {"IDEMPOTENCY_KEY_MISSING", "IDEMPOTENCY_KEY_INVALID", "IDEMPOTENCY_KEY_REUSED"}
            codes |= {"IDEMPOTENCY_IN_PROGRESS"}
        if self.command is not None:
            codes |= {"CONFLICT_RETRY", "LOCK_TIMEOUT", "LOCK_LOST", "OUTCOME_UNKNOWN"}
        return tuple(sorted(codes))

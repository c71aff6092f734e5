"""Postpone what a gateway left open, an attempt or a refund: one process acts on it until then."""

from dataclasses import dataclass, field
from typing import ClassVar

from stockade.core import Accepted, Change, Decision, Key, Rows
from stockade.service.ids import derived_id
from stockade.shop.commands.payments.settle_payment import MAX_CODE
from stockade.shop.commands.reject import reject
from stockade.shop.model import constants

OPEN = (*constants.OPEN_ATTEMPT, constants.READY)  # of attempts and refunds


@dataclass(frozen=True, slots=True)
class Postpone:
    """Sets when the next reconciler may act, and so claims the time until then.

    The request id follows from the row and its `tries`: of several processes that saw the same row, one is accepted
    and not replayed, and only that one may ask the gateway.

    Attributes:
        kind: `attempt` or `refund`.
        id: of the row.
        tries: as it was read.
        resolve_at_ms: the new time, in milliseconds since 1970; NEVER leaves it to a person.
        code: why it is open, for a person.
    """

    name: ClassVar[str] = "postpone"
    strategy_group: ClassVar[str] = "payment"

    request_id: str
    fingerprint: str
    now_ms: int
    kind: str
    id: str
    tries: int
    resolve_at_ms: int
    code: str
    keys: tuple[Key, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", (Key(self.kind, self.id),))

    @classmethod
    def at(cls, kind: str, id_: str, tries: int, *, now_ms: int, resolve_at_ms: int, code: str) -> "Postpone":
        """The one request that postpones a row that was read with these `tries`."""
        request_id = derived_id("postpone", kind, id_, tries)
        return cls(request_id, request_id, now_ms, kind, id_, tries, resolve_at_ms, code)

    def problem(self) -> str | None:
        """Nothing: the content comes from the shop itself."""
        return None

    def decide(self, rows: Rows) -> Decision:
        """Accepted with the state UNKNOWN; else STATE_CONFLICT if it was settled or postponed meanwhile."""
        key = self.keys[0]
        state = rows[key].state
        if state is None or state.status not in OPEN or state.tries != self.tries:
            return reject(constants.STATE_CONFLICT, id=self.id, status=state.status if state else "none")
        after = state._replace(
            status=constants.UNKNOWN,
            code=self.code[:MAX_CODE],
            resolve_at_ms=self.resolve_at_ms,
            tries=self.tries + 1,
        )
        change = Change(after, note=constants.UNKNOWN, ref=self.id)
        return Decision(Accepted({"id": self.id, "status": constants.UNKNOWN}), changes={key: change})

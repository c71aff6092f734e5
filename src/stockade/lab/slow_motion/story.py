"""What a step of the race did, as values that a page puts into words: who, what, on which row and version.

Neighbours: `two_buyers.py` makes the steps, `lab/live/words.py` has the words, by the names that are here.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from stockade.core import JsonValue
from stockade.lab.model.repeat_result import ACCEPTED, FAILED, REJECTED, LedgerEntry
from stockade.lab.slow_motion.row_view import RowView
from stockade.lab.slow_motion.step_control import LOADED, SAVED
from stockade.lab.slow_motion.two_buyers import QUEUE, Buyer, TwoBuyers

Happening = dict[str, JsonValue]
MOST_SQL: Final = 240  # characters of a statement
LOCKS_FILE: Final = "BEGIN IMMEDIATE"
_TABLE: Final = re.compile(r"[`\"]?skus[`\"]?\b")
_COLUMNS: Final = (
    (re.compile(r"SELECT .*? FROM "), "SELECT … FROM "),
    (re.compile(r" SET .*? WHERE "), " SET … WHERE "),
)


class Story:
    """Tells the steps of one race.

    Args:
        race: that is told.
    """

    def __init__(self, race: TwoBuyers) -> None:
        self._race = race
        self._before: dict[str, tuple[str, int]] = {}
        self._steps: list[Happening] = []

    async def step(self, who: str) -> None:
        """Let one go on, and keep what that did.

        Args:
            who: see `TwoBuyers.step`.

        Raises:
            LabError: see `TwoBuyers.step`.
        """
        race = self._race
        before = {name: self._seen(buyer) for name, buyer in race.buyers.items()}
        attempts = race.actor(QUEUE).attempts
        await race.step(who)
        happened: list[Happening] = self._in_queue(attempts) if race.in_queue else []
        order = [who, *(name for name in race.buyers if name != who)] if who in race.buyers else list(race.buyers)
        for name in order:
            happened += self._of_buyer(race.buyers[name], before[name])
        row = await race.row()
        self._steps.append({"number": race.steps, "who": who, "happened": happened, "row": row.as_json()})

    def _seen(self, buyer: Buyer) -> tuple[str, int]:
        return self._race.state_of(buyer), self._race.actor(buyer.name).attempts

    def _of_buyer(self, buyer: Buyer, before: tuple[str, int]) -> list[Happening]:
        """What changed for a buyer: it read at once or later, has no answer so far, wrote, lost, or ended."""
        now, attempts = self._seen(buyer)
        if (now, attempts) == before:
            return []
        actor = self._race.actor(buyer.name)
        base: Happening = {"who": buyer.name, "sql": _on_the_row(actor.statements)}
        if now == "answered":
            did = "answered" if buyer.status == ACCEPTED and self._race.in_queue else buyer.status
            return [{**base, "did": did, "code": buyer.answer}]
        if now == "queued":
            return [{**base, "did": "queued"}]
        if now == "unanswered":
            return [{**base, "did": "unanswered", "sql": _shortened(actor.unanswered)}]
        if now == LOADED:
            again = "conflict" if self._race.control == "optimistic" else "read_again"
            did = again if attempts > max(before[1], 1) else "read_later" if before[0] == "unanswered" else "read"
            return [{**base, "did": did, **_view(actor.sees)}]
        if now == SAVED:
            did = "wrote" if buyer.order.decision == "accept" else "wrote_refusal"
            return [{**base, "did": did, **_view(buyer.order.decided_on), "writes": _version(actor.sees)}]
        return [{**base, "did": now}]

    def _in_queue(self, attempts: int) -> list[Happening]:
        actor = self._race.actor(QUEUE)
        base: Happening = {"who": QUEUE, "sql": _on_the_row(actor.statements)}
        if actor.attempts > attempts:
            return [{**base, "did": "batch_read", **_view(actor.sees)}]
        if actor.point == SAVED:
            decided: list[JsonValue] = [
                {"who": each.name, "decision": each.order.decision, **_view(each.order.decided_on)}
                for each in self._race.buyers.values()
            ]
            return [{**base, "did": "batch_wrote", "decided": decided, "writes": _version(actor.sees)}]
        failed = any(each.status == FAILED for each in self._race.buyers.values())
        return [{**base, "did": "batch_failed" if failed else "batch_committed"}]

    async def state(self) -> Happening:
        """Everything that a page shows."""
        race = self._race
        found: Happening = {
            "control": race.control,
            "database": race.target.name,
            "steps": list(self._steps),
            "buyers": {name: self._buyer(buyer) for name, buyer in race.buyers.items()},
            "row": (await race.row()).as_json(),
            "movable": list(race.movable),
            "next": race.next,
            "ended": race.ended,
        }
        if race.ended:
            violations, ledger = await race.verdict()
            names = {each.order.request_id: name for name, each in race.buyers.items()}
            # of two entries of one version the first is that of the buyer who had the answer first
            answered = {each.order.request_id: each.ended_ns for each in race.buyers.values()}
            ledger = sorted(ledger, key=lambda each: (each.version, answered.get(each.request_id, 0)))
            found["violations"] = list(violations)
            found["ledger"] = [
                {"who": names.get(each.request_id, ""), "version": each.version, "reserved": each.held_after}
                for each in ledger
            ]
            found["end"] = self._end(violations, ledger)
        return found

    def _end(self, violations: Sequence[Happening], ledger: Sequence[LedgerEntry]) -> Happening:
        """How the race ended, by the answers, the checks and the ledger; `version` where one was written twice."""
        statuses = [each.status for each in self._race.buyers.values()]
        twice = [version for version, count in Counter(each.version for each in ledger).items() if count > 1]
        if statuses == [ACCEPTED, ACCEPTED] and violations and twice:
            return {"kind": "twice", "version": twice[0]}
        if violations:
            return {"kind": "broken", "detail": violations[0]["detail"]}
        return {"kind": "held" if sorted(statuses) == [ACCEPTED, REJECTED] else "undecided"}

    def _buyer(self, buyer: Buyer) -> Happening:
        actor = self._race.actor(buyer.name)
        sees: Mapping[str, JsonValue] | None = actor.sees.as_json() if actor.sees is not None else None
        decided = buyer.order.decided_on
        return {
            "state": self._race.state_of(buyer),
            "attempts": actor.attempts,
            "sees": sees,
            "decided_on": decided.as_json() if decided is not None else None,
            "decision": buyer.order.decision,
            "answer": buyer.answer,
            "status": buyer.status if buyer.ended else "",
        }


def _view(row: RowView | None) -> Happening:
    return {"free": row.free, "version": row.version} if row is not None else {}


def _version(row: RowView | None) -> JsonValue:
    return row.version if row is not None else None


def _on_the_row(statements: list[str]) -> str:
    """The statements about the row in their order, and SQLite's lock; empty: there was none about the row."""
    about = [each for each in statements if each == LOCKS_FILE or _TABLE.search(each)]
    if not any(_TABLE.search(each) for each in about):
        return ""
    return "; ".join(map(_shortened, about))


def _balanced(text: str) -> str:
    """The text up to the bracket that closes what it stands in."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            return text[:place].strip()
    return text


def _shortened(statement: str) -> str:
    text = " ".join(statement.split())
    update = text.rfind("UPDATE ", 0, found.start() if (found := _TABLE.search(text)) else 0)
    text = _balanced(text[update:]) if update > 0 else text  # of a statement with many parts
    for pattern, short in _COLUMNS:
        text = pattern.sub(short, text, count=1)
    return text[:MOST_SQL]

"""An accepted command is carried out exactly once, a refused one not at all, an unknown one at most once (I5)."""

from collections.abc import Iterator

from stockade.lab.execution.load import ACCEPTED, FAILED, REJECTED, Shot
from stockade.lab.execution.repeat_result import Trial, Violation

ORDER = "place_order"


def check(trial: Trial) -> Iterator[Violation]:
    """Answers against orders, ledger entries and recorded outcomes; the first of each kind."""
    evidence = trial.evidence
    booked = {entry.request_id for entry in evidence.ledger}
    orders = {command.request_id for command in trial.scene.orders if command.name == ORDER}
    accepted = trial.ids(ACCEPTED)
    certain = {shot.request_id for shot in trial.shots if _left_nothing(shot)} - accepted
    kept = {id_ for id_, outcome in evidence.requests.items() if outcome.accepted}
    kept_no = evidence.requests.keys() - kept
    yield from _none("was accepted but moved nothing", accepted - booked)
    yield from _none("was accepted but there is no order", (accepted & orders) - evidence.orders)
    yield from _none("was accepted but is not recorded so", accepted - kept)
    yield from _none("was not accepted but moved a row", certain & booked)
    yield from _none("was not accepted but an order exists", certain & evidence.orders)
    yield from _none("was refused but is not recorded so", trial.ids(REJECTED) - kept_no)


def _left_nothing(shot: Shot) -> bool:
    """Whether the buyer was told for certain that nothing happened."""
    return shot.answer == REJECTED or (shot.answer == FAILED and not shot.unknown)


def _none(text: str, ids: set[str]) -> Iterator[Violation]:
    if ids:
        more = f" (and {len(ids) - 1} more)" if len(ids) > 1 else ""
        yield Violation("exactly-once", f"request {min(ids)} {text}{more}")

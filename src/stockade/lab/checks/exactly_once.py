"""Exactly once: an accepted command is executed once, a rejected one not at all, an unknown one at most once."""

from collections.abc import Iterator

from stockade.lab.model.repeat_result import ACCEPTED, FAILED, REJECTED, RepeatResult, Response, Violation

ORDER = "place_order"


def check(result: RepeatResult) -> Iterator[Violation]:
    """Compare responses with orders, ledger entries and recorded outcomes; report the first of each kind."""
    snapshot = result.snapshot
    in_ledger = {entry.request_id for entry in snapshot.ledger}
    orders = {command.request_id for command in result.workload.orders if command.name == ORDER}
    accepted = result.ids(ACCEPTED)
    not_executed = {each.request_id for each in result.responses if _is_not_executed(each)} - accepted
    recorded_accepted = {id_ for id_, outcome in snapshot.requests.items() if outcome.accepted}
    recorded_rejected = snapshot.requests.keys() - recorded_accepted
    yield from _violation("was accepted but moved nothing", accepted - in_ledger)
    yield from _violation("was accepted but there is no order", (accepted & orders) - snapshot.orders)
    yield from _violation("was accepted but is not recorded so", accepted - recorded_accepted)
    yield from _violation("was not accepted but moved a row", not_executed & in_ledger)
    yield from _violation("was not accepted but an order exists", not_executed & snapshot.orders)
    yield from _violation("was refused but is not recorded so", result.ids(REJECTED) - recorded_rejected)


def _is_not_executed(response: Response) -> bool:
    """Whether the response says for certain that nothing was executed."""
    return response.status == REJECTED or (response.status == FAILED and not response.unknown)


def _violation(text: str, ids: set[str]) -> Iterator[Violation]:
    if ids:
        more = f" (and {len(ids) - 1} more)" if len(ids) > 1 else ""
        yield Violation("exactly-once", f"request {min(ids)} {text}{more}")

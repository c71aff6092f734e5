"""Payments: one approval by the gateway's own count, nothing charged that is not recorded, and the other way round."""

from collections.abc import Iterator, Sequence
from typing import Final

from stockade.lab.model.payment import PaymentFigures, PaymentSetup
from stockade.lab.model.repeat_result import REJECTED, Response, Violation
from stockade.shop.model import constants

ALLOWED: Final = (constants.ALREADY_PAID, constants.PAYMENT_IN_PROGRESS)  # of a tap for what another tap pays


def check(figures: PaymentFigures, setup: PaymentSetup, responses: Sequence[Response]) -> Iterator[Violation]:
    """Compare the gateway's count with the shop's records, then judge the answers and the connections."""
    twice = {order_id: count for order_id, count in figures.approvals.items() if count > 1}
    if twice:
        worst = max(twice, key=lambda order_id: twice[order_id])
        text = f"{len(twice)} of {figures.payments} orders charged more than once: {worst} {twice[worst]} times"
        yield Violation("one-approval", text)
    if figures.unrecorded:
        yield Violation("charged-not-recorded", f"{figures.unrecorded} charges of buyers that the shop does not know")
    if figures.uncharged:
        yield Violation("recorded-not-charged", f"{figures.uncharged} payments that the gateway does not know")
    if setup.no_connection_held and figures.held:
        yield Violation("connection-held", f"{figures.held} connections held while the gateway was asked")
    for response in responses:
        if response.status == REJECTED and response.code not in ALLOWED:
            yield Violation("unexpected", f"refused with {response.code}, allowed are {', '.join(ALLOWED)}")
            break
    for response in responses:
        if response.unexpected_error:
            yield Violation("unexpected", f"failed with {response.unexpected_error}")
            break

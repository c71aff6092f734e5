"""A rejection as a decision: an outcome and no change."""

from stockade.core import Decision, JsonValue, Rejected
from stockade.shop.model import constants


def reject(code: str, **data: JsonValue) -> Decision:
    """Reject with a code.

    Args:
        code: a code of `model.constants`.
        data: further members of the response.
    """
    return Decision(Rejected(code, data))


def reject_invalid(problem: str, **data: JsonValue) -> Decision:
    """Reject wrong content. HTTP checks `problem()` before it executes a command; other callers need not."""
    return Decision(Rejected(constants.INVALID_REQUEST, {**data, "detail": problem}))


def reject_unknown(*sku_ids: str) -> Decision:
    """Reject unknown SKUs."""
    return Decision(Rejected(constants.SKU_NOT_FOUND, {"sku_ids": sku_ids}))

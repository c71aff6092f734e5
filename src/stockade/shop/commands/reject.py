"""A refusal as a decision: only an outcome, so that it leaves nothing but its request row."""

from stockade.core import Decision, JsonValue, Rejected
from stockade.shop.model import constants


def refuse(code: str, **data: JsonValue) -> Decision:
    """Refuse with a code.

    Args:
        code: a code of `model.constants`.
        data: further members of the response.
    """
    return Decision(Rejected(code, data))


def refuse_invalid(problem: str, **data: JsonValue) -> Decision:
    """Refuse wrong content. HTTP refuses such requests before they become commands."""
    return Decision(Rejected(constants.INVALID_REQUEST, {**data, "detail": problem}))


def refuse_unknown(*sku_ids: str) -> Decision:
    """Refuse unknown SKUs."""
    return Decision(Rejected(constants.SKU_NOT_FOUND, {"sku_ids": sku_ids}))

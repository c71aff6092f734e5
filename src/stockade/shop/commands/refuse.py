"""A refusal as a decision: an outcome and nothing else, so that it leaves nothing behind but its request row."""

from stockade.core import Decision, JsonValue, Rejected
from stockade.shop.model import constants


def refuse(code: str, **data: JsonValue) -> Decision:
    """The rules say no.

    Args:
        code: one of the codes of `words`.
        data: what the caller is told beside the code.
    """
    return Decision(Rejected(code, data))


def refuse_invalid(problem: str, **data: JsonValue) -> Decision:
    """The content itself is wrong. HTTP answers such requests before they come here."""
    return Decision(Rejected(constants.INVALID_REQUEST, {**data, "detail": problem}))


def refuse_unknown(*sku_ids: str) -> Decision:
    """There are no such SKUs."""
    return Decision(Rejected(constants.SKU_NOT_FOUND, {"sku_ids": sku_ids}))

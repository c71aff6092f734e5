"""How the outcomes of a batch travel back. Bytes only: no brokers."""

import pytest

from stockade.core import Accepted, IdempotencyKeyReused, Rejected
from stockade.kafka.replies import MAX_BYTES, decode_replies, encode_replies


def order_of(lines):
    """An accepted order with so many lines, ids as long as they may be."""
    line = {"sku_id": "s" * 64, "product_id": "p" * 64, "quantity": 9_999, "price": 10**9}
    return Accepted({"order_id": "0" * 32, "status": "PAID", "total": 10**12, "lines": [line] * lines}, {"stock:s": 7})


@pytest.mark.parametrize("count", [1, 512, 1_024])
def test_small_outcomes_of_a_batch_are_one_message(count):
    """Callers answered by one message come again together, and are one batch again."""
    answers = [(n, order_of(1)) for n in range(count)]
    (message,) = encode_replies(answers)
    assert decode_replies(message) == answers


def test_large_outcomes_are_split_below_the_brokers_limit():
    """400 orders of 100 lines: each message is taken, and every answer is in one of them, in order."""
    answers = [(n, order_of(100)) for n in range(400)]
    messages = encode_replies(answers)
    assert max(map(len, messages)) <= MAX_BYTES
    assert sum(map(len, messages)) > 5 * MAX_BYTES, "the control: one message would have been refused"
    assert [pair for message in messages for pair in decode_replies(message)] == answers


def test_every_kind_of_outcome_comes_back_as_it_was():
    """Refusals keep their code, errors their kind."""
    answers = [
        (1, Rejected("OUT_OF_STOCK", {"shortages": []}, {"stock:s": 3}, True)),
        (2, IdempotencyKeyReused("again")),
    ]
    (message,) = encode_replies(answers)
    (first, (correlation_id, error)) = decode_replies(message)
    assert first == answers[0]
    assert (correlation_id, type(error), str(error)) == (2, IdempotencyKeyReused, "again")

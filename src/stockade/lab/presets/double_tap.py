"""The double click (따닥): one charge is sent ten times. The idempotency key says whether one or ten are meant.

With one key, all ten get the same response and the account is charged once. With ten keys it is charged ten times.
The account does not exist beforehand, so that the ten first charges compete for a row that is not there yet.
"""

from stockade.lab.model.burst import Burst, RepeatNames
from stockade.lab.model.preset import Preset, Variant

AMOUNT = 10_000


def one_key(names: RepeatNames) -> Burst:
    """The same request from every buyer."""
    return names.charges([0] * names.buyers, AMOUNT)


def ten_keys(names: RepeatNames) -> Burst:
    """A different request from every buyer."""
    return names.charges(range(names.buyers), AMOUNT)


PRESET = Preset(
    "double-tap",
    (
        Variant(
            label="one-key",
            summary="one charge of 10000 sent 10 times with one key: 10 times the same answer, 10000 left",
            workload=one_key,
            buyers=10,
            stock=0,
            single_row=False,
            must_fail_unprotected=False,  # every strategy claims the request id in the charge's own transaction
        ),
        Variant(
            label="ten-keys",
            summary="10 charges of 10000 with 10 keys: 10 accepted, 100000 left",
            workload=ten_keys,
            buyers=10,
            stock=0,
            single_row=False,
        ),
    ),
)

"""The ways to pay that the reports describe, as controls beside `shop.payments`. A new one is one file and one line.

Each is a small, honest implementation over the shop's own tables and the same gateway. They write fewer rows than the
shop (no ledger, no request, no event), which favours them. Neighbours: `model/contender.py` names them,
`execution/payer.py` runs them, the presets `payment-*` say which of them must break.
"""

from stockade.lab.schemes.lock_over_call import LockOverCall
from stockade.lab.schemes.scheme import Scheme
from stockade.lab.schemes.version_no_key import VersionNoKey
from stockade.lab.schemes.version_with_key import VersionWithKey

__all__ = ["SCHEMES", "Scheme"]

SCHEMES: dict[str, type[Scheme]] = {each.name: each for each in (VersionWithKey, VersionNoKey, LockOverCall)}

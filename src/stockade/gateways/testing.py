"""The gateway of `stockade serve --gateway test`: it speaks as Toss Payments, under a name of its own.

The name stands in the rows, so no process that asks Toss Payments takes them for its own, and the other way round.
Neighbour: `devservers.gateway` is the server.
"""

from typing import Final

from stockade.gateways.registry import TEST
from stockade.gateways.toss import Toss

KEY: Final = "test_sk_of_stockade_serve"  # of a gateway that moves no money


class PrivateGateway(Toss):
    """The adapter. It takes no key of a merchant."""

    name = TEST

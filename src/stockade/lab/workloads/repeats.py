"""The order stream, a tenth of whose requests are sent twice: at once, later, and after a restart of the processes.

Equal requests get equal answers, and are carried out once. A few ids are used a second time with other content, which
is refused.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from stockade.lab.model.burst import RepeatNames
from stockade.lab.workloads.order_stream import OrderStream
from stockade.lab.workloads.workload import Request
from stockade.service.ids import derived_id
from stockade.shop.commands import OrderLine, PlaceOrder

REUSE_EVERY: Final = 40  # requests


class Repeats(OrderStream):
    """See the module."""

    name = "repeats"
    summary = "the order stream with a tenth of the requests sent twice, some after a restart: carried out once"
    load = replace(OrderStream.load, duplicate_share=0.1)

    def requests(self, names: RepeatNames, seed: int) -> Iterator[Request]:
        """Those of the order stream; now and then one whose id is used again for another order."""
        for number, request in enumerate(super().requests(names, seed)):
            order = request.command
            if number % REUSE_EVERY or not isinstance(order, PlaceOrder):
                yield request
                continue
            lines = tuple([OrderLine(each.sku_id, each.quantity + 1) for each in order.lines])
            other = replace(order, fingerprint=derived_id("other content", order.request_id), lines=lines)
            yield request._replace(reuse=other)


WORKLOAD = Repeats()

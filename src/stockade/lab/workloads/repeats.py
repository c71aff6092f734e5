"""The order stream, a tenth of whose requests are sent twice: at once, later, and after a restart of the processes.

Equal requests get equal answers, and are carried out once.
"""

from dataclasses import replace

from stockade.lab.workloads.order_stream import OrderStream


class Repeats(OrderStream):
    """See the module."""

    name = "repeats"
    summary = "the order stream with a tenth of the requests sent twice, some after a restart: carried out once"
    load = replace(OrderStream.load, duplicate_share=0.1)


WORKLOAD = Repeats()

"""Sums of the sales of each product, from which popular products are answered.

A background job counts the events of orders, hour by hour, with a position of its own; an order writes nothing here.
`hours` knows the whole hours, `changes` what an event changes, `sums` writes, `progress` is the position, `backfill`
adds up the orders of before, `sold` knows what those hold, `windows` keeps the sums of windows, `job` runs it all.
Neighbours: `queries.popular` reads the sums, `audit.sales` compares them with the orders, `bootstrap` starts the job.
"""

from stockade.shop.sales.job import SalesJob
from stockade.shop.sales.progress import position_of

__all__ = ["SalesJob", "position_of"]

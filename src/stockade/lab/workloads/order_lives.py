"""What workloads share whose orders have a life: each order is followed, a little later, by what becomes of it.

A later request may overtake its order, which is then not found: that is refused, and no error. Neighbours:
`reservations.py` and `cancels.py` say what becomes of an order.
"""

import heapq
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from stockade.lab.model.burst import RepeatNames
from stockade.lab.workloads.shop_rows import deliver, stock_keys
from stockade.lab.workloads.workload import Request

DELAY: Final = (20, 60)  # requests between an order and what follows it: more than clients send at once
DELIVERY_EVERY: Final = 100  # requests
DELIVERY: Final = 20  # units for each SKU in turn

Follow = Callable[[random.Random, int, str], tuple[Request, Sequence[Request]]]


def order_lives(names: RepeatNames, seed: int, buyers: Sequence[str], skus: int, follow: Follow) -> Iterator[Request]:
    """Orders, what follows them, and deliveries, without end.

    Args:
        names: of the recording.
        seed: decides every choice.
        buyers: ids of users.
        skus: how many there are.
        follow: for the number and the buyer of an order: the order, and what becomes of it.
    """
    rng = random.Random(seed)
    stock = stock_keys(names, skus)
    waiting: list[tuple[int, int, Request]] = []
    numbers = itertools.count()
    for at in itertools.count(1):
        if at % DELIVERY_EVERY == 0:
            yield deliver(names, at, stock[at // DELIVERY_EVERY % skus], DELIVERY)
        if waiting and waiting[0][0] <= at:
            yield heapq.heappop(waiting)[2]
            continue
        order, later = follow(rng, at, rng.choice(buyers))
        for request in later:
            heapq.heappush(waiting, (at + rng.randint(*DELAY), next(numbers), request))
        yield order

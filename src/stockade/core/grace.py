"""How late an answer may be: the one bound behind the deadline of a command, shared by the store and the strategies.

What has to be done after a deadline (a statement is given up, a connection ended, a lock released) has what is left of
the grace. What takes longer goes on in the background, owned by whoever began it. So the times of several clean-ups do
not add up. Neighbours: `store.engine.database`, `strategies.lock_based`; the lab's checker `in-time` holds them to it.
"""

import time
from typing import Final

GRACE_S: Final = 0.4  # of a caller: he has his answer so long after his deadline at the latest, whatever fails


def grace_left_s(deadline: float) -> float:
    """Seconds until the deadline and the grace after it are over; 0 when they are.

    Args:
        deadline: on the monotonic clock (`time.monotonic()`), in seconds.
    """
    return max(0.0, deadline + GRACE_S - time.monotonic())

"""How late an answer may be: the one bound behind the deadline of a command, of which each layer has its part.

What has to be done after a deadline (a statement is given up, a connection ended, a lock released) has what is left of
the grace. What takes longer goes on in the background, owned by whoever began it. So the times of several clean-ups do
not add up. Neighbours: `store.engine.database` and `pools` take their parts first, `strategies.lock_based` has what is
left; `locks.database.session_locks` waits so long for the answer about a lock, after which there is no transaction. The
lab's checker `in-time` holds them to it.
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

"""Threads that share one subscription: a signal handler may come while its own thread subscribes."""

import threading

import pytest

from stockade.locks.redis.transport.subscription import ThreadSubscription


class Connection:
    """A subscribed connection on which nothing is said until it is interrupted."""

    def __init__(self):
        self.closed, self._interrupted = 0, threading.Event()

    async def read(self):
        """Wait for the interruption."""
        self._interrupted.wait(30)

    def interrupt(self):
        """See `ThreadConnection`."""
        self._interrupted.set()

    async def close(self):
        """See `ThreadConnection`."""
        self.closed += 1


@pytest.mark.parametrize("handler_comes", [True, False])
def test_a_handler_in_the_middle_subscribes_and_one_subscription_is_left(handler_comes):
    """It does not wait for its own thread; the connection that came second is closed (control: nobody came)."""
    subscription, made = ThreadSubscription(), []

    async def subscribe(left_s):
        mine = Connection()
        made.append(mine)
        if handler_comes and len(made) == 1:
            subscription.open(subscribe, lambda: None, 0.0)  # what a handler does at this point
        return mine

    subscription.open(subscribe, lambda: None, 5.0)
    try:
        assert [each.closed for each in made] == ([1, 0] if handler_comes else [0])
        subscription.open(subscribe, lambda: None, 5.0)
        assert len(made) == 1 + handler_comes, "one is enough"
    finally:
        subscription.close()
    assert [each.closed for each in made] == [1] * len(made)

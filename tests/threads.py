"""Threads of tests: what a body raises is raised where the test waits for its end, not as a warning of a later test."""

import threading
from functools import partial

LIMIT_S = 30.0


class Running(threading.Thread):
    """A thread that has begun. It is a daemon: one that hangs fails its test, and lets the run end."""

    def __init__(self, body, *args, name=None):
        super().__init__(name=name, daemon=True)
        self._work = partial(body, *args)
        self._answer = self._error = None
        self.start()

    def run(self):
        """See `threading.Thread`."""
        try:
            self._answer = self._work()
        except BaseException as error:  # noqa: BLE001 - `result` raises it
            self._error = error

    def result(self, limit_s=LIMIT_S):
        """What the body returned, or raises what it raised; fails if that takes longer than `limit_s` seconds."""
        self.join(limit_s)
        assert not self.is_alive(), f"{self.name} has not ended within {limit_s} s"
        if self._error is not None:
            raise self._error
        return self._answer

"""Garbage collection of a process that only takes orders. Called by entry points, never by library code."""

import gc


def tune_gc() -> None:
    """Collect garbage now, and rarely afterwards.

    A batch keeps tens of containers per order until its commit, none of them in a cycle. With the default thresholds
    the collector traverses them repeatedly. Objects from the start of the process live as long as the process and are
    not traversed at all.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)

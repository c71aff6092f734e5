"""What a process that only takes orders does once it is ready. Called by entry points, never by a library call."""

import gc


def settle() -> None:
    """Collect garbage now, and rarely from here on.

    A batch keeps tens of containers for each order until it commits, none of them in a cycle; the collector's default
    thresholds walk them again and again (a fifth of the processor time of an order, measured). What was made during
    the start lives as long as the process and is not walked at all.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)

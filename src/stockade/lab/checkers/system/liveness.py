"""Liveness: something was done; after the last heal the rate is back in the stated time; nobody starves in a queue.

The rate is that of decisions. It is back in the first second in which at least `SHARE` of the rate before the faults
is decided. `settings` of the history state the time (`recovery_s`) and whether the strategy serves in turn (`fifo`);
what they do not state is not judged.
"""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from stockade.lab.checkers.fault_times import active_faults, fault_times
from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.violation import Violation
from stockade.lab.history.operation import OK, REFUSED, Operation

RULE: Final = "liveness"
SHARE: Final = 0.8
WINDOW_S: Final = 1.0
STEP_S: Final = 0.1
STARVED_TIMES: Final = 10  # the longest wait of a queue that serves in turn, as a multiple of the median
STARVED_FLOOR_S: Final = 0.25  # a machine that pauses for this long starves nobody


def check(history: IndexedHistory) -> Iterator[Violation]:
    """Report that nothing was done, that the rate did not come back, and the longest wait of a client."""
    decided = [each for each in history.history.operations if each.type in (OK, REFUSED)]
    if not decided:
        yield Violation(RULE, "nothing was decided: this history proves nothing")
        return
    yield from _recovery(history, sorted(each.return_ns for each in decided))
    if history.history.settings.get("fifo"):
        yield from _starvation(history, decided)


def _recovery(history: IndexedHistory, returns: list[int]) -> Iterator[Violation]:
    phases, stated = history.history.phases, history.history.settings.get("recovery_s")
    warm_s = (phases.faults_ns - phases.warm_ns) / 1e9
    if not isinstance(stated, int | float) or not history.history.fault_log or warm_s <= 0:
        return
    base = (bisect_left(returns, phases.faults_ns) - bisect_left(returns, phases.warm_ns)) / warm_s
    left_s = (phases.final_ns - phases.healed_ns) / 1e9
    if left_s < min(stated, WINDOW_S):
        text = f"the load went on for {left_s:.1f} s after the last heal: too short to see the rate come back"
        yield Violation(RULE, text, at_ns=phases.healed_ns)
        return
    best = 0.0
    for step in range(int(stated / STEP_S) + 1):
        begin_ns = phases.healed_ns + int(step * STEP_S * 1e9)
        end_ns = min(begin_ns + int(WINDOW_S * 1e9), phases.final_ns)
        if (end_ns - begin_ns) < WINDOW_S / 2 * 1e9:
            break
        count = bisect_left(returns, end_ns) - bisect_left(returns, begin_ns)
        best = max(best, count / ((end_ns - begin_ns) / 1e9))
        if best >= SHARE * base:
            return
    text = f"{best:.0f} decisions/s at most within {stated:g} s after the last heal, {base:.0f}/s before the faults"
    yield Violation(RULE, text, at_ns=phases.healed_ns)


def _starvation(history: IndexedHistory, decided: list[Operation]) -> Iterator[Violation]:
    """Of operations that no fault overlaps."""
    times = fault_times(history.history)
    undisturbed = [each for each in decided if not active_faults(times, each.invoke_ns, each.return_ns)]
    if not undisturbed:
        return
    waits = sorted(each.return_ns - each.invoke_ns for each in undisturbed)
    longest = max(undisturbed, key=lambda each: each.return_ns - each.invoke_ns)
    median_s, longest_s = waits[len(waits) // 2] / 1e9, waits[-1] / 1e9
    if longest_s > max(STARVED_TIMES * median_s, STARVED_FLOOR_S):
        yield Violation(
            RULE,
            f"client {longest.client} waited {longest_s:.3f} s, half of all waited {median_s:.3f} s at most",
            key=longest.keys[0] if longest.keys else "",
            request_id=longest.request_id,
            operation=longest.number,
            at_ns=longest.return_ns,
        )

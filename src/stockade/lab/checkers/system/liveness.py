"""Liveness: something was done; after the last heal the rate is back in the stated time; nobody starves in a queue.

The rate is that of decisions. It is back in the first second in which at least `SHARE` of the rate before the faults
is decided. `settings` of the history state the time (`recovery_s`) and whether the strategy serves in turn (`fifo`);
what they do not state is not judged. A wait is compared with the median of its row, without what the machine was late.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from stockade.lab.checkers.fault_times import active_faults, fault_times
from stockade.lab.checkers.indexed_history import READ, IndexedHistory
from stockade.lab.checkers.lateness import late_ns
from stockade.lab.checkers.violation import Violation
from stockade.lab.history.operation import OK, REFUSED, Operation

RULE: Final = "liveness"
SHARE: Final = 0.8
WINDOW_S: Final = 1.0
STEP_S: Final = 0.1
LEAST_WAITS: Final = 20  # at one row: a median of fewer says little
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
    """Of commands that no fault overlaps, nor the time that its healing may take."""
    stated = history.history.settings.get("recovery_s")
    after_ns = int(stated * 1e9) if isinstance(stated, int | float) else 0
    times = [each._replace(end_ns=each.end_ns + after_ns) for each in fault_times(history.history)]
    at_row: dict[str, list[Operation]] = defaultdict(list)
    for each in decided:
        if each.command != READ and each.keys and not active_faults(times, each.invoke_ns, each.return_ns):
            at_row[each.keys[0]].append(each)
    for key, waited in at_row.items():
        if len(waited) >= LEAST_WAITS:
            yield from _starved(history, key, sorted(waited, key=_wait_ns))


def _wait_ns(operation: Operation) -> int:
    return operation.return_ns - operation.invoke_ns


def _starved(history: IndexedHistory, key: str, waited: list[Operation]) -> Iterator[Violation]:
    """The longest wait at one row, if it is far longer than the usual one; `waited` is sorted by the waits."""
    longest = waited[-1]
    median_s, longest_s = _wait_ns(waited[len(waited) // 2]) / 1e9, _wait_ns(longest) / 1e9
    machine_s = late_ns(history.final, longest.invoke_ns, longest.return_ns) / 1e9
    if longest_s - machine_s > max(STARVED_TIMES * median_s, STARVED_FLOOR_S):
        yield Violation(
            RULE,
            f"client {longest.client} waited {longest_s:.3f} s, half of all at {key} waited {median_s:.3f} s at most",
            key=key,
            request_id=longest.request_id,
            operation=longest.number,
            at_ns=longest.return_ns,
        )

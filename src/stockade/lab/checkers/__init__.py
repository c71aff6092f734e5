"""The checkers of histories, cheap and most informative first: the report shows the first violation.

What a busy machine could explain (`Violation.about_time`) comes after everything that it could not.

A checker is one file with one function over an `IndexedHistory` and one line here: in `DATA_CHECKERS` if its rule is
about data, else in `OTHER_CHECKERS`. It yields at most one violation for each row or request, so that a report stays
readable.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from types import MappingProxyType

from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.requests import complete, exactly_once, in_time, order_states, same_answer, unexpected
from stockade.lab.checkers.rows import (
    counters_conserved,
    linearizable,
    no_oversell,
    points_conserved,
    real_time,
    right_refusal,
    serializable,
    stock_conserved,
    version_chain,
)
from stockade.lab.checkers.system import (
    events,
    liveness,
    log_decided,
    log_order,
    mutual_exclusion,
    nothing_left,
    served,
)
from stockade.lab.checkers.violation import Violation
from stockade.lab.history.history import History

MAX_OF_ONE_CHECKER = 20  # violations; whoever has seen these needs no more of them
Checker = Callable[[IndexedHistory], Iterator[Violation]]

DATA_CHECKERS: Mapping[str, Checker] = MappingProxyType(
    {
        exactly_once.RULE: exactly_once.check,
        complete.RULE: complete.check,
        same_answer.RULE: same_answer.check,
        version_chain.RULE: version_chain.check,
        real_time.RULE: real_time.check,
        stock_conserved.RULE: stock_conserved.check,
        points_conserved.RULE: points_conserved.check,
        counters_conserved.RULE: counters_conserved.check,
        no_oversell.RULE: no_oversell.check,
        right_refusal.RULE: right_refusal.check,
        order_states.RULE: order_states.check,
        serializable.RULE: serializable.check,
        mutual_exclusion.RULE: mutual_exclusion.check,
        linearizable.RULE: linearizable.check,
        log_order.RULE: log_order.check,
        log_decided.RULE: log_decided.check,
        events.RULE: events.check,
    }
)
OTHER_CHECKERS: Mapping[str, Checker] = MappingProxyType(
    {
        nothing_left.RULE: nothing_left.check,
        served.RULE: served.check,
        in_time.RULE: in_time.check,
        liveness.RULE: liveness.check,
        unexpected.RULE: unexpected.check,
    }
)
CHECKERS: Mapping[str, Checker] = MappingProxyType({**DATA_CHECKERS, **OTHER_CHECKERS})
DATA_RULES = frozenset(DATA_CHECKERS)  # who breaks one does not protect its rows; who breaks another may do so


def judge(history: History) -> list[Violation]:
    """Everything that is wrong with a history, most informative first; of each checker at most `MAX_OF_ONE_CHECKER`."""
    return judge_indexed(IndexedHistory(history))


def judge_indexed(history: IndexedHistory) -> list[Violation]:
    """The same, for a history that is shown afterwards."""
    found = [each for check in CHECKERS.values() for each in islice(check(history), MAX_OF_ONE_CHECKER)]
    return sorted(found, key=lambda each: each.about_time)

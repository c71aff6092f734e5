"""Step 5 of a round: which answers accept or refuse, which invariants hold, and which answers prove it. Pure.

Neighbours: `reads.py` and `collect.py` give the facts; `model/expressions.py` compares.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from stockade.race.errors import RaceError, of_the_user
from stockade.race.model.expressions import Expression, Values, show
from stockade.race.model.pointers import Missing, look_up
from stockade.race.model.scenario import Matching, Scenario
from stockade.race.result import Answer, Kind, Observation, Round, Violation

LEAST_AT_ONCE = 2  # requests in flight at one moment
MOST_PROOFS = 20  # answers that a violation keeps
MOST_ERRORS = 5  # errors that a round keeps
_ACCEPTS = range(200, 300)
_REFUSES = range(400, 500)


def judge(
    scenario: Scenario,
    number: int,
    answers: Sequence[Answer],
    *,
    reads: Mapping[str, Observation],
    spread_s: float,
    keys: int,
) -> Round:
    """Judge a round.

    Args:
        scenario: with what a success is, and the invariants.
        number: of the round.
        answers: of all buyers.
        reads: read after it.
        spread_s: of the release, in seconds.
        keys: different keys of the buyers.

    Raises:
        RaceError: the round proves nothing: nothing was accepted, or every invariant held and too little was raced;
            or an invariant cannot be computed.
    """
    sorted_out = [classify(scenario, each) for each in answers]
    counts = Counter(each.kind for each in sorted_out)
    if not counts[Kind.SUCCESS]:
        raise RaceError(f"round {number}: no request succeeded, which proves nothing; the first: {_first(sorted_out)}")
    at_once = most_at_once(sorted_out)
    values = _values(scenario, sorted_out, reads) | {"keys": keys, "spread_ms": spread_s * 1000}
    violations = [*_broken(scenario, values, sorted_out, reads)]
    if not violations and (reason := _too_little(scenario, sorted_out, at_once, spread_s)):
        raise RaceError(f"round {number}: {reason}")
    return Round(
        number=number,
        counts={kind: counts[kind] for kind in Kind},
        latencies_s=sorted(
            each.latency_s for each in sorted_out if each.response or each.latency_s >= scenario.race.timeout_s
        ),
        at_once=at_once,
        spread_s=spread_s,
        reads=reads,
        violations=violations,
        errors=[each for each in sorted_out if each.kind in (Kind.ERROR, Kind.UNANSWERED)][:MOST_ERRORS],
    )


def most_at_once(answers: Sequence[Answer]) -> int:
    """The most requests that were in flight at one moment, of those with an answer."""
    answered = [each for each in answers if each.response]
    changes = sorted([*((each.sent_s, 1) for each in answered), *((each.ended_s, -1) for each in answered)])
    return max(accumulate(change for _, change in changes), default=0)


def _too_little(scenario: Scenario, answers: Sequence[Answer], at_once: int, spread_s: float) -> str:
    """Why invariants that held prove nothing; empty: they prove something. A violation is one in any case."""
    race, decided = scenario.race, [each for each in answers if each.kind in (Kind.SUCCESS, Kind.REFUSAL)]
    if len(decided) < race.least_decided * len(answers):
        others = [each for each in answers if each.kind in (Kind.ERROR, Kind.UNANSWERED)]
        return (
            f"only {len(decided)} of {len(answers)} requests were accepted or refused, which proves nothing "
            f"(race.least_decided is {race.least_decided:g}); another: {_first(others)}"
        )
    if at_once < LEAST_AT_ONCE:
        return "no two requests were in flight at the same moment, so that nothing was raced: send them faster"
    if spread_s * 1000 > race.most_spread_ms:
        how = "late" if race.rate_per_s else "from the first release to the last"
        return (
            f"{spread_s * 1000:.0f} ms {how}, which is no race (race.most_spread_ms is {race.most_spread_ms:g}): "
            "send fewer, or on an idle machine"
        )
    return ""


def classify(scenario: Scenario, answer: Answer) -> Answer:
    """The answer with its kind and, for a success, what `[answers]` names.

    Raises:
        RaceError: a success has not what `[answers]` names.
    """
    if answer.response is None:
        return replace(answer, kind=Kind.UNANSWERED)
    if _matches(answer, scenario.success, _ACCEPTS):
        return replace(answer, kind=Kind.SUCCESS, values=_taken(scenario, answer))
    refused = _matches(answer, scenario.refusal, _REFUSES)
    return replace(answer, kind=Kind.REFUSAL if refused else Kind.ERROR)


def _matches(answer: Answer, wanted: Matching, usual: range) -> bool:
    assert answer.response is not None
    if answer.response.status not in (wanted.status or usual):
        return False
    if not wanted.where:
        return True
    try:
        document = answer.response.document()
        return all(look_up(document, pointer) == value for pointer, value in wanted.where.items())
    except (ValueError, Missing):
        return False


def _taken(scenario: Scenario, answer: Answer) -> dict[str, Any]:
    if not scenario.answers:
        return {}
    assert answer.response is not None
    try:
        document = answer.response.document()
        return {name: look_up(document, pointer) for name, pointer in scenario.answers.items()}
    except ValueError:
        raise RaceError(f"[answers]: {answer.request} gave no JSON") from None
    except Missing as error:
        raise RaceError(f"[answers]: {answer.request}: {error}") from None


def _values(scenario: Scenario, answers: Sequence[Answer], reads: Mapping[str, Observation]) -> dict[str, Any]:
    """What an invariant may name, as far as the answers and the reads give it."""
    counts = Counter(each.kind for each in answers)
    accepted = [each for each in answers if each.kind is Kind.SUCCESS]
    keys = [each.key for each in accepted]
    return {
        "sent": len(answers),
        "successes": counts[Kind.SUCCESS],
        "refusals": counts[Kind.REFUSAL],
        "errors": counts[Kind.ERROR] + counts[Kind.UNANSWERED],
        "unanswered": counts[Kind.UNANSWERED],
        **{name: Values([each.values[name] for each in accepted], keys) for name in scenario.answers},
        **{name: each.value for name, each in reads.items()},
    }


def _broken(
    scenario: Scenario, values: Mapping[str, Any], answers: Sequence[Answer], reads: Mapping[str, Observation]
) -> Sequence[Violation]:
    found = []
    for name, text in scenario.invariants.items():
        expression = Expression(text)
        if not expression.holds(values):
            proof = proving(expression, answers)
            used = {each: reads[each] for each in sorted(expression.names & {*reads})}
            found.append(Violation(name, text, expression.shown(values), used, proof[:MOST_PROOFS], len(proof)))
    plain = {name: each.values if isinstance(each, Values) else each for name, each in values.items()}
    for name, holds in scenario.checks.items():
        with of_the_user(f"checks.{name}"):
            held = bool(holds(plain))
        if not held:
            proof = [each for each in answers if each.kind is Kind.SUCCESS]
            shown = ", ".join(f"{each} = {show(values[each])}" for each in ("successes", *reads))
            found.append(Violation(name, "a function", shown, reads, proof[:MOST_PROOFS], len(proof)))
    return found


def proving(expression: Expression, answers: Sequence[Answer]) -> list[Answer]:
    """The answers that show why an invariant does not hold.

    Those of one key with different values for `differing_keys`, those that share a value for `distinct`, the errors
    where errors are counted, and all successes else.

    Args:
        expression: the invariant.
        answers: all of the round, with their kinds.
    """
    accepted = [each for each in answers if each.kind is Kind.SUCCESS]
    called = dict(sorted(expression.called))
    if name := called.get("differing_keys"):
        groups = _grouped(accepted, lambda each: each.key)
        differing = [group for group in groups if len({repr(each.values[name]) for each in group}) > 1]
        return [each for group in differing for each in group]
    if (name := called.get("distinct")) and all(name in each.values for each in accepted):
        groups = _grouped(accepted, lambda each: repr(each.values[name]))
        if shared := [each for group in groups if len(group) > 1 for each in group]:
            return shared
    if expression.names & {"errors", "unanswered"}:
        return [each for each in answers if each.kind in (Kind.ERROR, Kind.UNANSWERED)] or accepted
    return accepted


def _grouped(answers: Sequence[Answer], by: Any) -> list[list[Answer]]:
    groups: dict[Any, list[Answer]] = {}
    for each in answers:
        groups.setdefault(by(each), []).append(each)
    return [*groups.values()]


def _first(answers: Sequence[Answer]) -> str:
    for each in answers:
        if each.response:
            body = " ".join(each.response.body.decode(errors="replace").split())
            return f"{each.request} gave {each.response.status}: {body[:200]}"
    return f"{answers[0].request}: {answers[0].error}"

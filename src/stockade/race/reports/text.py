"""A race as lines for a terminal.

Neighbours: `stockade.cli.race` prints them, `testing.http_race` puts them into an AssertionError.
"""

from collections.abc import Iterator, Sequence

from stockade.race.model.expressions import Values, show
from stockade.race.result import Answer, Kind, RaceResult, Round, Violation

SHOWN_ANSWERS = 6
_BODY = 120  # characters
_READ = 60  # characters of a value in the line of a round; a violation shows it whole


def heading(name: str, buyers: int, rounds: int, rate_per_s: float, url: str) -> str:
    """The first line, printed before the first round."""
    how = f"at {rate_per_s:g} a second" if rate_per_s else "at the same moment"
    return f"{name}: {buyers:,} requests {how}, at most {_plural(rounds, 'round')}, {url}"


def round_line(done: Round, *, open_loop: bool) -> str:
    """One line for a round."""
    counts = done.counts
    errors = counts[Kind.ERROR] + counts[Kind.UNANSWERED]
    sent = f"at most {_ms(done.spread_s)} late" if open_loop else f"released within {_ms(done.spread_s)}"
    answers = [
        _plural(counts[Kind.SUCCESS], "success", "successes"),
        _plural(counts[Kind.REFUSAL], "refusal"),
        _plural(errors, "error") + (f" ({counts[Kind.UNANSWERED]:,} unanswered)" if counts[Kind.UNANSWERED] else ""),
    ]
    percentiles = "/".join(f"{done.latency_s(share) * 1000:.0f}" for share in (0.5, 0.95, 0.99, 1.0))
    reads = "".join(f", {name} = {_short(each.value)}" for name, each in done.reads.items())
    return f"round {done.number}: {sent}; {', '.join(answers)}{reads}; p50/p95/p99/max {percentiles} ms"


def findings(result: RaceResult) -> Iterator[str]:
    """The verdict with its proof, line by line."""
    for error in (each for one in result.rounds for each in one.errors[:1]):
        yield f"  an error: {answer_line(error, keyed=result.shares_keys)}"
        break
    shown: Sequence[Answer] = ()
    for violation in result.violations:
        again = violation.answers == shown
        yield from violation_lines(violation, keyed=result.shares_keys, with_answers=not again)
        shown = violation.answers
    for left in filter(None, (each.not_cleaned for each in result.rounds)):
        yield f"not cleaned up: {left}"
        break
    rounds = len(result.rounds)
    if result.passed:
        names = len(result.invariants)
        yield f"ok: {_plural(names, 'invariant')} held in {_plural(rounds, 'round')}"
    else:
        yield f"found in round {rounds} of at most {result.most_rounds}"


def violation_lines(violation: Violation, *, keyed: bool, with_answers: bool = True) -> Iterator[str]:
    """An invariant that does not hold, with what proves it.

    Args:
        violation: what was found.
        keyed: several buyers have one key, so each answer is shown with its key.
        with_answers: False: the answers stand above already.
    """
    yield f"VIOLATED  {violation.name}: {violation.rule}  ({violation.shown})"
    for name, read in violation.reads.items():
        yield f"  read      {name} = {show(read.value)}  ({read.source})"
    if not with_answers:
        yield f"  answers   the same {violation.answers_in_all:,}"
        return
    for answer in violation.answers[:SHOWN_ANSWERS]:
        yield f"  answer    {answer_line(answer, keyed=keyed)}"
    if (more := violation.answers_in_all - SHOWN_ANSWERS) > 0:
        yield f"  … and {_plural(more, 'more answer')} like these"


def answer_line(answer: Answer, *, keyed: bool) -> str:
    """One answer with its request, and with its key if several buyers have one."""
    who = f"buyer {answer.buyer}" + (f", key {answer.key}" if keyed else "")
    if answer.response is None:
        return f"{who}: {answer.request} -> {answer.error}"
    body = " ".join(answer.response.body.decode(errors="replace").split())
    body = body if len(body) <= _BODY else f"{body[:_BODY]}…"
    return f"{who}: {answer.request} -> {answer.response.status} {body}  {_ms(answer.latency_s)}"


def _short(value: object) -> str:
    """A value that was read, or how many it has where it is a long list."""
    text = show(value)
    if len(text) <= _READ:
        return text
    many = value.values if isinstance(value, Values) else value
    return f"{len(many):,} values" if isinstance(many, list) else f"{text[:_READ]}…"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def _plural(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"

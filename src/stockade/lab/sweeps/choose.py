"""Who takes part in a sweep: the strategies that the user names, or all that this database and machine can run.

Neighbours: `plan.py` holds the choice, `runs/plan.py` chooses for a burst.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from stockade.lab.errors import LabError
from stockade.lab.model.contender import Contender
from stockade.lab.ring.usual_parts import missing_servers
from stockade.lab.runs.plan import why_not
from stockade.lab.sweeps.axes import AXES, points_of
from stockade.lab.sweeps.plan import CONTROL, LONGEST_TURN_S, SweepPlan, dialect_of
from stockade.strategies import registry


def complete_plan(
    plan: SweepPlan, chosen: Mapping[str, Sequence[float]], names: Sequence[str], *, thorough: bool = False
) -> SweepPlan:
    """The plan with its points and contenders, and with what is left out.

    Args:
        plan: everything else.
        chosen: by axis the values that the user gave.
        names: of contenders; none: all that can run here, on SQLite those that need no server.
        thorough: every value that an axis has, and no turn is cut short.

    Raises:
        LabError: a strategy that is named cannot run here, or there is nothing to play.
    """
    dialect = dialect_of(plan.database)
    points, left_out = points_of(chosen, plan.database, thorough=thorough)
    contenders = list[Contender]()
    for contender in [Contender.parse(name) for name in names] or [Contender(name) for name in registry.names()]:
        why = _why_not(contender, dialect, plan, usual=not names)
        if why and names:
            raise LabError(f"{contender.name}: {why}")
        if why:
            left_out[contender.name] = why
        elif contender not in contenders:
            contenders.append(contender)
    if Contender(CONTROL) not in contenders:  # without it no point would count
        contenders.insert(0, Contender(CONTROL))
    there = {each.strategy for each in contenders}
    for name, axis in AXES.items():
        if axis.strategies and not there.intersection(axis.strategies) and any(each.axis == name for each in points):
            points = [each for each in points if each.axis != name]
            left_out[name] = f"concerns {', '.join(axis.strategies)} only"
    if not points or len(contenders) == 1:
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        raise LabError(f"there is nothing to compare{f': {reasons}' if reasons else ''}")
    turn_s = LONGEST_TURN_S if thorough else plan.turn_s
    return replace(plan, points=points, contenders=contenders, left_out=left_out, turn_s=turn_s)


def _why_not(contender: Contender, dialect: str, plan: SweepPlan, *, usual: bool) -> str:
    """Why a contender does not take part; empty: it does.

    Args:
        contender: who.
        dialect: of the database.
        plan: has servers that are named.
        usual: nobody named it.
    """
    if contender.scheme:
        return "a way to pay through a gateway: for the presets payment-*"
    needs = contender.guarantees.needs
    named = {"redis": plan.redis, "kafka": plan.kafka}
    if usual and dialect == "sqlite" and any(not named.get(need) for need in needs):
        return f"needs {', '.join(needs)}: name it in --strategies"
    missing = [need for need in needs if not named.get(need)]
    return why_not(contender, dialect) or missing_servers(missing)

"""The command that measures the figures of a file again, as far as the file says it. Pure functions.

Documents of `stockade lab` do not name the size of the pool, and none names the addresses of servers that were there
already. Those of a ring have their command. Neighbour: `table.py` shows the command.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from stockade.lab.aimed_faults import faults
from stockade.lab.claims import CLAIMS
from stockade.lab.faults import TOGETHER
from stockade.lab.history.history import History
from stockade.lab.model.preset import Variant
from stockade.lab.report.documents import Document, Run
from stockade.lab.report.proof import variants
from stockade.lab.report.swept import Sweep, SweptPoint
from stockade.lab.sweeps.axes import AXES, STOCK, Setting, points_of
from stockade.lab.sweeps.plan import LEAST_REPEATS, LONGEST_TURN_S
from stockade.shop.application import PATH

OF_RECORDINGS: Final = {  # option: setting of a history
    "seconds": "seconds",
    "processes": "processes",
    "clients": "clients",
    "rate": "rate",
    "pool": "pool_size",
    "wait": "wait_s",
    "lease": "lease_s",
    "partitions": "partitions",
    "workers": "workers",
}


def command(document: Document, sweep: Sweep | None = None) -> str:
    """The command that measures a document again.

    Args:
        document: of the lab.
        sweep: in it.
    """
    if document.cells:
        said = document.settings.get("command")
        if isinstance(said, str) and said.startswith("stockade lab "):
            return said
        named = ("seed", "seconds") if document.matrix else ("seed", "seconds", "minutes")
        return " ".join(["stockade lab", "ring" if document.matrix else "soak", *_options(document.settings, named)])
    if document.deadlock:
        return f"stockade lab deadlock --database {document.deadlock.database}"
    if document.claims:
        names = [each.name for each in document.claims]
        some = f" {','.join(names)}" if set(names) != {each.name for each in CLAIMS} else ""
        return f"stockade lab claims{some} --database {document.claims[0].database}"
    if sweep:
        return command_of_sweep(sweep)
    return command_of_runs(document.runs)


def _options(values: Any, names: Sequence[str]) -> list[str]:
    found = [(name, values.get(name)) for name in names]
    return [f"--{name} {_number(value)}" for name, value in found if isinstance(value, int | float)]


def _number(value: float) -> str:
    """As it was given: `:g` alone rounds a seed to six digits."""
    return str(value) if isinstance(value, int) else f"{value:.9g}"


def command_of_sweep(sweep: Sweep) -> str:
    """Every axis with its values, those with a single one too, resource, rounds, workers and strategies."""
    settings = sweep.settings
    parts = [f"stockade lab sweep --database {settings.get('database', 'sqlite')}"]
    if settings.get("resource", STOCK) != STOCK:
        parts.append(f"--resource {settings['resource']}")
    if settings.get("repeats", LEAST_REPEATS) != LEAST_REPEATS:
        parts.append(f"--repeats {settings['repeats']}")
    if _is_thorough(sweep):
        parts.append("--thorough")
    parts += [f"--{axis} {','.join(f'{value:g}' for value in values)}" for axis, values in _axes(sweep).items()]
    if settings.get("workers", 1) != 1:
        parts.append(f"--workers {settings['workers']}")
    names = settings.get("strategies") or list(dict.fromkeys(each.strategy for each in sweep.points))
    return " ".join([*parts, f"--strategies {','.join(map(str, names))}"])


def _is_thorough(sweep: Sweep) -> bool:
    """Whether no turn was to be cut short; files of before do not say, and none was."""
    return sweep.settings.get("turn_s") == LONGEST_TURN_S


def _axes(sweep: Sweep) -> dict[str, list[float]]:
    """The values of each axis that was chosen: of those with one value only, if they alone make the same points."""
    alone, swept = dict[str, list[float]](), dict[str, list[float]]()
    for axis in AXES:
        if values := list(dict.fromkeys(each.value for each in sweep.points if each.axis == axis)):
            swept[axis] = values
        elif values := _chosen(axis, sweep.points):
            alone[axis] = values
    usual, _ = points_of(alone, str(sweep.settings.get("database", "sqlite")), thorough=_is_thorough(sweep))
    made = {each for each in usual if each.axis not in sweep.left_out}
    return alone if made == {each.result.point for each in sweep.points} else alone | swept


def _chosen(axis: str, points: Sequence[SweptPoint]) -> list[float]:
    """The value of an axis that was not swept, if it differs at some point from what it has without the option."""
    for each in points:
        usual = AXES[each.axis].base.get(axis, getattr(Setting(), axis))
        value: float = getattr(each.result.point.setting, axis)
        if value != usual:
            return [value]
    return []


def command_of_runs(runs: Sequence[Run]) -> str:
    """Presets, faults, load, repeats and strategies: what differs from the defaults."""
    parts = ["stockade lab"]
    if not runs:
        return parts[0]
    first = runs[0]
    if not all(variants(run.preset) for run in runs):
        parts.append("--app MODULE:NAME")  # of another application, which documents do not name
    if first.database != "sqlite":
        parts.append(f"--database {first.database}")
    chosen = list(dict.fromkeys(run.preset for run in runs))
    if chosen != ["reference"]:
        parts.append(f"--preset {','.join(chosen)}")
    struck = [fault for fault in dict.fromkeys(run.fault for run in runs) if fault]
    if struck:
        parts.append(f"--fault {','.join(struck)}")
    elif first.processes > 1:
        parts.append(f"--processes {first.processes}")
    parts += _changed("buyers", runs, lambda run: run.buyers, lambda variant, _: variant.buyers)
    parts += _changed("stock", runs, lambda run: run.stock, lambda variant, _: variant.stock)
    parts += _changed("repeats", runs, _repeats, lambda variant, run: 1 if run.fault else variant.repeats)
    logs = [run.log for run in runs if run.log]
    if logs and logs[0].partitions != 3:
        parts.append(f"--partitions {logs[0].partitions}")
    if logs and logs[0].workers != 1:
        parts.append(f"--workers {logs[0].workers}")
    parts.append(f"--strategies {','.join(dict.fromkeys(run.strategy for run in runs))}")
    return " ".join(parts)


def _repeats(run: Run) -> int:
    """Under a fault each repeat is one for each point at which the fault strikes."""
    points = len(faults()[run.fault].points) if run.fault in faults() and not run.payments else 1
    return len(run.wall_ms.samples) // points


def _changed(
    option: str, runs: Sequence[Run], of: Callable[[Run], int], usual: Callable[[Variant, Run], int]
) -> list[str]:
    """The option, if all runs have one value and it is not what some of them have without it."""
    values = {of(run) for run in runs}
    usuals = [[usual(variant, run) for variant in variants(run.preset)] for run in runs]
    if len(values) > 1 or all(of(run) in found for run, found in zip(runs, usuals, strict=True)):
        return []
    return [f"--{option} {values.pop()}"]


def command_of_history(history: History) -> str:
    """The command that records this again."""
    parts = [f"stockade lab record --workload {history.workload}"]
    app = history.settings.get("app")
    if isinstance(app, str) and app and app != PATH:
        parts.append(f"--app {app}")
    parts.append(f"--strategies {history.strategy} --database {history.database} --seed {history.seed}")
    if history.faults:
        parts.append(f"--fault {TOGETHER.join(history.faults)}")
    found = {option: history.settings.get(setting) for option, setting in OF_RECORDINGS.items()}
    return " ".join([*parts, *_options({name: value for name, value in found.items() if value}, list(found))])

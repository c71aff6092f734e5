"""Which cells a ring has: a covering array for the strategies that claim something, and cells made for the controls.

Neighbours: `covering_array.py` combines, `expectation.py` says what each cell must show, `ring.py` plays the cells.
"""

import functools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from stockade.lab.errors import LabError
from stockade.lab.model.contender import Contender, all_contenders
from stockade.lab.recording.fault import Fault, fit_together, protects_rows, undo_each_other
from stockade.lab.ring.cell import NO_FAULT, Cell
from stockade.lab.ring.covering_array import Factors, covering_array
from stockade.lab.ring.expectation import HELD, expected, is_control
from stockade.lab.ring.matrix import NotRun
from stockade.lab.runs.plan import why_not
from stockade.lab.workloads.workload import Workload

FAULTS_OF_A_CELL: Final = 4
OF_A_CONTROL: Final = "a control: it has cells in which it must be caught; here it proves nothing, broken or not"
CELLS_OF_A_BARE_LOCK: Final = 2  # in which it must be caught, of all faults that it must fail at


@dataclass(frozen=True, slots=True)
class Parts:
    """What the cells are made of.

    Attributes:
        databases: names, the one for most controls first.
        contenders: strategies and their forms.
        faults: every fault that may be injected.
        workloads: what is sent.
        control_workload: name of that in the cells of the controls; empty: the first that must break them.
    """

    databases: Sequence[str]
    contenders: Sequence[Contender]
    faults: Sequence[Fault]
    workloads: Sequence[Workload]
    control_workload: str = ""

    @property
    def fault_by_name(self) -> Mapping[str, Fault]:
        """The faults by their names."""
        return {fault.name: fault for fault in self.faults}

    @property
    def contender_names(self) -> list[str]:
        """Names of the contenders, in their order."""
        return [each.name for each in self.contenders]

    @property
    def fault_names(self) -> list[str]:
        """Names of the faults, in their order."""
        return [each.name for each in self.faults]

    def find(self, text: str) -> Cell:
        """The cell of an id.

        Raises:
            LabError: no id, or a cell that cannot be played here.
        """
        cell = Cell.parse(text)
        contender = Contender.parse(cell.contender)
        for kind, names, there in (
            ("database", [cell.database], self.databases),
            ("strategy", [cell.contender], self.contender_names),
            ("fault", cell.faults, self.fault_names),
            ("workload", [cell.workload], [each.name for each in self.workloads]),
        ):
            for name in names:
                if name not in there:
                    raise LabError(f"cell {text}: no {kind} {name!r} takes part; there are: {', '.join(there)}")
        for fault in cell.faults or (NO_FAULT,):
            if why := self.why_not(contender, fault, cell.database):
                raise LabError(f"cell {text}: {fault} with {cell.contender}: {why}")
        if pairs := undo_each_other([self.fault_by_name[name] for name in cell.faults]):
            raise LabError(f"cell {text}: {'; '.join(pairs)}")
        return cell

    def why_not(self, contender: Contender, fault: str, database: str) -> str:
        """Why a contender cannot meet a fault on a database; empty: it can."""
        if reason := why_not(contender, database):
            return reason
        return "" if fault == NO_FAULT else self.fault_by_name[fault].impossible(contender.name, database)

    def expectation(self, cell: Cell) -> str:
        """What the contender of a cell claims about it."""
        faults = [self.fault_by_name[name] for name in cell.faults]
        return expected(Contender.parse(cell.contender), faults, control=self.is_control(cell))

    def is_control(self, cell: Cell) -> bool:
        """Whether the contender, a negative control, must be seen to break a rule in this cell."""
        faults = [self.fault_by_name[name] for name in cell.faults]
        shares_rows = any(each.must_break for each in self.workloads if each.name == cell.workload)
        return is_control(Contender.parse(cell.contender), faults, cell.database, shares_rows=shares_rows)


class Design(NamedTuple):
    """The cells of a ring, in the order to play, and what has none."""

    cells: tuple[Cell, ...]
    not_run: tuple[NotRun, ...]


def usual_contenders() -> list[Contender]:
    """Every strategy in every form."""
    return all_contenders(with_forms=True)


def design(parts: Parts, seed: int) -> Design:
    """The cells for a seed; the same parts and seed give the same cells."""
    controls = _controls(parts, random.Random(f"controls-{seed}"))
    databases, names = list(parts.databases), parts.contender_names
    cells = dict.fromkeys([*controls, *_array(parts, seed)])
    ordered = sorted(cells, key=lambda each: (databases.index(each.database), names.index(each.contender)))
    return Design(tuple(ordered), tuple(_not_run(parts)))


def _array(parts: Parts, seed: int) -> list[Cell]:
    """Cells in which each claimed pair of strategy, fault, database and workload occurs."""
    contenders = {each.name: each for each in parts.contenders if protects_rows(each)}
    by_name = parts.fault_by_name

    @functools.cache
    def claims(name: str, fault: str, database: str) -> bool:
        if parts.why_not(contenders[name], fault, database):
            return False
        return fault == NO_FAULT or expected(contenders[name], [by_name[fault]], control=False) == HELD

    def possible(row: Mapping[str, str]) -> bool:
        return claims(row["contender"], row["fault"], row["database"])  # whatever the workload

    def together(one: str, other: str) -> bool:
        return NO_FAULT not in (one, other) and fit_together(by_name[one], by_name[other])

    factors = Factors(
        single={
            "database": parts.databases,
            "contender": list(contenders),
            "workload": [each.name for each in parts.workloads],
        },
        several_name="fault",
        several=[NO_FAULT, *by_name],
        at_most=FAULTS_OF_A_CELL,
        possible=possible,
        together=together,
    )
    return [_cell(row.single, row.several) for row in covering_array(factors, seed)]


def _cell(single: Sequence[tuple[str, str]], several: Sequence[tuple[str, str]]) -> Cell:
    values = dict(single)
    faults = tuple(fault for _, fault in several if fault != NO_FAULT)
    return Cell(values["database"], values["contender"], faults, values["workload"])


def _controls(parts: Parts, rng: random.Random) -> list[Cell]:
    """Cells in which each negative control must be caught, and for a bare lock one without a fault, where it holds."""
    workloads = [each.name for each in parts.workloads if each.must_break]
    workload = parts.control_workload if parts.control_workload in workloads else "".join(workloads[:1])
    found: list[Cell] = []
    for contender in parts.contenders:
        databases = [each for each in parts.databases if not why_not(contender, each)]
        if protects_rows(contender) or not databases or not workload:
            continue
        if not contender.form:
            some = databases if contender.guarantees.may_oversell else [rng.choice(databases)]
            found += [Cell(each, contender.name, (), workload) for each in some]
            continue
        aimed = [
            Cell(database, contender.name, (fault.name,), workload)
            for fault in parts.faults
            for database in databases[:1]
            if contender.form in fault.must_fail and not parts.why_not(contender, fault.name, database)
        ]
        found += rng.sample(aimed, min(len(aimed), CELLS_OF_A_BARE_LOCK))
        found.append(Cell(databases[0], contender.name, (), workload))
    return found


def _not_run(parts: Parts) -> list[NotRun]:
    """The pairs of contender and fault that have no cell by design, with the reason (that of the first database).

    A control under a fault that it need not break shows nothing: if it breaks a rule, it claims no better, and if it
    does not, the fault may have missed the moment. So its cells are those of `_controls` alone.
    """
    found = []
    for contender in parts.contenders:
        for fault in parts.faults:
            reasons = [parts.why_not(contender, fault.name, database) for database in parts.databases]
            if all(reasons):
                found.append(NotRun(contender.name, fault.name, reasons[0]))
            elif not protects_rows(contender):
                found.append(NotRun(contender.name, fault.name, OF_A_CONTROL))
            elif expected(contender, [fault], control=False) != HELD:
                found.append(NotRun(contender.name, fault.name, "claims nothing about it"))
    return found

"""What the live page offers on this machine: workloads, controls, databases, faults; what is missing has its reason.

Neighbours: `plan.py` refuses everything else, the registries of the lab have the names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from stockade.lab.faults import FAULTS
from stockade.lab.model.contender import Contender, all_contenders
from stockade.lab.model.preset import Variant
from stockade.lab.presets import find
from stockade.lab.ring.usual_parts import missing_servers
from stockade.lab.site.needs import missing_tools
from stockade.lab.workloads.registry import WORKLOADS
from stockade.strategies import registry

DATABASES = ("sqlite", "postgres", "mariadb")


@dataclass(frozen=True, slots=True)
class Choices:
    """Names, each with the reason why it cannot be chosen here; empty: it can.

    Attributes:
        bursts: presets: everybody at the same moment.
        workloads: of recordings.
        controls: contenders.
        databases: kinds.
        faults: of recordings.
        summaries: what each name means, in a line.
        figures: of each preset its own buyers, stock and rounds, which make its summary true.
    """

    bursts: Mapping[str, str]
    workloads: Mapping[str, str]
    controls: Mapping[str, str]
    databases: Mapping[str, str]
    faults: Mapping[str, str]
    summaries: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def choices() -> Choices:
    """Find out what there is. It looks for programs, which takes a moment."""
    variants = burst_variants()
    servers = {name: missing_servers([name]) for name in DATABASES}
    return Choices(
        bursts=dict.fromkeys(variants, ""),
        workloads=dict.fromkeys(WORKLOADS, ""),
        controls={each.name: missing_servers(each.guarantees.needs) for each in all_contenders(with_forms=True)},
        databases=servers,
        faults={name: missing_tools(fault.needs) for name, fault in FAULTS.items()},
        summaries={
            **{name: variant.summary for name, variant in variants.items()},
            **{name: workload.summary for name, workload in WORKLOADS.items()},
            **{name: fault.summary for name, fault in FAULTS.items()},
            **{each.name: _summary(each) for each in all_contenders(with_forms=True)},
        },
        figures={
            name: {"buyers": variant.buyers, "stock": variant.stock, "rounds": variant.repeats}
            for name, variant in variants.items()
        },
    )


def burst_variants() -> dict[str, Variant]:
    """The presets that a page can run: those without a gateway, and with every control."""
    return {name: variant for name, variant in find("all") if variant.payment is None and not variant.strategies}


def _summary(contender: Contender) -> str:
    form = f" ({contender.form})" if contender.form else ""
    return f"{registry.summary(contender.strategy)}{form}"

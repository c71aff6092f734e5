"""The aimed faults by name. A new one is one file here that defines `FAULT`; no other file lists it."""

import importlib
import pkgutil
from functools import cache

from stockade.lab.execution.aimed_fault import AimedFault


@cache
def faults() -> dict[str, AimedFault]:
    """Every fault of this folder, by name."""
    found: dict[str, AimedFault] = {}
    for module in pkgutil.iter_modules(__path__):
        fault = importlib.import_module(f"{__name__}.{module.name}").FAULT
        assert isinstance(fault, AimedFault)
        found[fault.name] = fault
    return dict(sorted(found.items()))


def find(text: str) -> list[AimedFault]:
    """The faults that the option `--fault` names, separated by commas; `all` means every one, empty none.

    Raises:
        ValueError: a name that does not exist; the message lists the names that do.
    """
    known = faults()
    names = list(known) if text.strip() == "all" else [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise ValueError(f"unknown fault {name!r}; there are: {', '.join(known)}, all")
    return [known[name] for name in dict.fromkeys(names)]

"""The schedule of a run as text: what was asked, answered and disturbed, in order. For whoever reads a failure."""

from stockade.lab.history.history import History
from stockade.lab.history.operation import Operation


def schedule(history: History) -> str:
    """One line for each moment: when an operation was sent, when it returned and with what, when a fault came.

    Args:
        history: of a simulated run.

    Returns:
        Lines that begin with milliseconds since the start.
    """
    began_ns = history.phases.warm_ns
    moments: list[tuple[int, int, str]] = []
    for each in history.operations:
        moments.append((each.invoke_ns, each.number, _sent(each)))
        moments.append((each.return_ns, each.number, _returned(each)))
    for number, fault in enumerate(history.fault_log):
        moments.append((fault.at_ns, -len(history.fault_log) + number, f"{fault.fault}: {fault.detail}"))
    head = f"{history.strategy}, seed {history.seed}, faults: {', '.join(history.faults) or 'none'}"
    return "\n".join([head, *(f"{(at_ns - began_ns) / 1e6:10.3f} ms  {text}" for at_ns, _, text in sorted(moments))])


def _sent(operation: Operation) -> str:
    keys = ", ".join(operation.keys)
    where = f"client {operation.client} to {operation.process}"
    return f"{operation.number:3} {where}: {operation.command} {operation.request_id[-4:]} ({keys})"


def _returned(operation: Operation) -> str:
    versions = ", ".join(f"{key} at {version}" for key, version in operation.versions.items())
    answer = " ".join(filter(None, (operation.type, operation.code, "replayed" if operation.replayed else "")))
    return f"{operation.number:3} returned {answer}{f' ({versions})' if versions else ''}"

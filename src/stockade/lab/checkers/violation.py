"""What a checker found: a rule that does not hold, where, and in words."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule.

    Attributes:
        rule: its name in words, e.g. `version-chain`.
        detail: a sentence that names what is wrong.
        key: the row, as `stock:42`; empty if it is about none.
        version: of that row at which it shows; 0 if it is about none.
        request_id: the request; empty if it is about none.
        operation: number of the operation in the history; -1 if it is about none.
        at_ns: monotonic clock, when it shows; 0 if there is no such moment.
        about_time: something was slow, as on a busy machine; not of what is wrong, is lost or stays for ever.
    """

    rule: str
    detail: str
    key: str = ""
    version: int = 0
    request_id: str = ""
    operation: int = -1
    at_ns: int = 0
    about_time: bool = False

"""Names of protected rows, and a row as it was loaded."""

from typing import Any, NamedTuple


class Key(NamedTuple):
    """The name of one protected row, e.g. `Key("stock", "42")`, written `stock:42`.

    Keys compare by (kind, id), code point by code point. Transactions lock everything that another one may lock too in
    this order, so a circular wait cannot arise (Coffman, Elphick and Shoshani, "System Deadlocks", 1971).
    """

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"

    @classmethod
    def parse(cls, text: str) -> "Key":
        """`stock:42` -> `Key("stock", "42")`.

        Raises:
            ValueError: there is no colon, or one side of it is empty.
        """
        kind, _, id_ = text.partition(":")
        if not kind or not id_:
            raise ValueError(f"not a key: {text!r}; expected KIND:ID such as stock:42")
        return cls(kind, id_)


class Row(NamedTuple):
    """A protected row as loaded, or as an earlier command of the same batch left it.

    `state` is a tuple type of the row's resource, or None when there is no such row (then `version` is 0).
    `stamp` is the time of the last change in milliseconds, compared under the TIMESTAMP guard only.
    """

    key: Key
    state: Any
    version: int
    stamp: int = 0

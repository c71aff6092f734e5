"""Rules about the rows of any resource: each counter is the sum of its ledger, entry by entry.

A function here makes a rule for the resources of an application. Neighbours: `general` makes all of them for an
application, the shop chooses its own and runs faster screens first.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    Table,
    case,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
    union_all,
)

from stockade.service.audit.rule_types import Finding, Rule, Scope, rule
from stockade.service.audit.stack import many_groups, one, stack
from stockade.store.id_chunks import id_chunks
from stockade.store.schema.resource import Resource
from stockade.store.schema.tables import DEFAULT

MAX_SUSPECTS = 10_000  # rows of which every entry is compared


class Followed(NamedTuple):
    """Rows with a ledger entry for every version, and the version of their first entry: 2 where the INSERT makes 1."""

    resource: Resource
    first: int


def more_out_than_in(id_: str, resource: Resource, ledger: Table = DEFAULT.ledger) -> Rule:
    """Of no row more went out than came in."""
    return rule(id_)(lambda conn, scope: _more_out_than_in(conn, scope, resource, ledger))


def ledger_sum(counted: Sequence[Resource], ledger: Table = DEFAULT.ledger) -> Rule:
    """Both counters of each row are the sums of its ledger entries."""

    @rule("ledger-sum")
    def check(conn: Connection, scope: Scope) -> Iterator[Finding]:
        for resource in counted:
            amount, held = counter_columns(resource)
            entries = _of_rows(
                ledger,
                resource.kind,
                func.sum(ledger.c.delta).label("delta"),
                func.sum(ledger.c.held).label("held_delta"),
            )
            rows = select(resource.table.c.id, amount.label("amount"), held.label("held"), one("rows_"))
            both = stack(rows, entries)
            sums = [func.sum(both.c[name]) for name in ("delta", "held_delta", "amount", "held")]
            statement = (
                select(both.c.id, *sums)
                .group_by(both.c.id)
                .having(func.sum(both.c.rows_) > 0, or_(sums[0] != sums[2], sums[1] != sums[3]))
            )
            for id_, expected, expected_held, actual, actual_held in scope.rows(conn, statement):
                yield f"{resource.kind}:{id_}", _pair(expected, expected_held), _pair(actual, actual_held)

    return check


def repeated_version(ledger: Table = DEFAULT.ledger) -> Rule:
    """No version of a row was written twice: then two writers read the same version, and one update is lost."""

    @rule("repeated-version")
    def check(conn: Connection, scope: Scope) -> Iterator[Finding]:
        statement = (
            select(ledger.c.row_id, ledger.c.kind, ledger.c.version, func.count())
            .group_by(ledger.c.kind, ledger.c.row_id, ledger.c.version)
            .having(func.count() > 1)
        )
        for id_, kind, version, times in scope.rows(conn, statement):
            yield f"{kind}:{id_} version {version}", "1 entry", f"{times} entries"

    return check


def version_gap(followed: Sequence[Followed], ledger: Table = DEFAULT.ledger) -> Rule:
    """The ledger has every version of each row up to the row's own."""

    @rule("version-gap")
    def check(conn: Connection, scope: Scope) -> Iterator[Finding]:
        for resource, first in followed:
            entries = _of_rows(
                ledger,
                resource.kind,
                func.count(ledger.c.version.distinct()).label("entries"),
                func.max(ledger.c.version).label("newest"),
            )
            both = stack(select(resource.table.c.id, resource.table.c.version, one("rows_")), entries)
            version, count, newest = (func.sum(both.c[name]) for name in ("version", "entries", "newest"))
            last = case((count == 0, first - 1), else_=newest)
            statement = (
                select(both.c.id, version, count, last)
                .group_by(both.c.id)
                .having(func.sum(both.c.rows_) > 0, or_(last != version, count != last - (first - 1)))
            )
            for id_, row_version, entries, newest in scope.rows(conn, statement):
                expected = f"versions {first} to {row_version}"
                yield f"{resource.kind}:{id_}", expected, f"{entries} versions, the last {newest}"

    return check


def ledger_chain(counted: Sequence[Resource], ledger: Table = DEFAULT.ledger) -> Rule:
    """The amounts after an entry are those after the entry before it, plus its own differences."""

    @rule("ledger-chain")
    def check(conn: Connection, scope: Scope) -> Iterator[Finding]:
        # a suspect may have no broken link, so the limit of the findings does not bound the suspects
        suspects = [row.row_id for row in Scope(MAX_SUSPECTS).rows(conn, out_of_step(counted, ledger))]
        found = (row for chunk in id_chunks(suspects) for row in scope.rows(conn, _unlinked(counted, ledger, chunk)))
        for row in islice(found, scope.limit):
            yield (
                f"{row.kind}:{row.row_id} version {row.version}",
                _pair(row.amount, row.held),
                _pair(row.amount_after, row.held_after),
            )

    return check


def below_zero(counted: Sequence[Resource], ledger: Table = DEFAULT.ledger) -> Rule:
    """No entry and no row has a negative counter, or more held than there is."""

    @rule("below-zero")
    def check(conn: Connection, scope: Scope) -> Iterator[Finding]:
        found = [
            select(
                ledger.c.row_id, ledger.c.kind, ledger.c.amount_after.label("amount"), ledger.c.held_after.label("held")
            )
        ]
        for resource in counted:
            amount, held = counter_columns(resource)
            found.append(
                select(resource.table.c.id, literal(resource.kind), amount.label("amount"), held.label("held"))
            )
        wrong = (impossible(each.selected_columns["amount"], each.selected_columns["held"]) for each in found)
        everything = union_all(
            *(each.where(condition) for each, condition in zip(found, wrong, strict=True))
        ).subquery()
        for id_, kind, amount_left, held_left in scope.rows(conn, select(everything).distinct()):
            yield f"{kind}:{id_}", "0 <= held <= amount", _pair(amount_left, held_left)

    return check


def row_missing(followed: Sequence[Followed], ledger: Table = DEFAULT.ledger) -> Rule:
    """Every row with ledger entries exists."""

    @rule("row-missing")
    def check(conn: Connection, scope: Scope) -> Iterator[Finding]:
        for resource, _ in followed:
            both = stack(
                select(resource.table.c.id, one("rows_")),
                _of_rows(ledger, resource.kind, func.count().label("entries")),
            )
            entries = func.sum(both.c.entries)
            statement = select(both.c.id, entries).group_by(both.c.id).having(func.sum(both.c.rows_) == 0)
            for id_, entries in scope.rows(conn, statement):
                yield f"{resource.kind}:{id_}", "a row", f"{entries} ledger entries without one"

    return check


def counter_columns(resource: Resource) -> tuple[ColumnElement[int], ColumnElement[int]]:
    """The columns of both counters; 0 for one that the resource does not have."""
    columns: list[ColumnElement[int]] = [resource.table.c[name] for name in resource.counters]
    columns += [literal_column("0", Integer)] * (2 - len(columns))
    return columns[0], columns[1]


def _more_out_than_in(conn: Connection, scope: Scope, resource: Resource, ledger: Table) -> Iterator[Finding]:
    came = func.sum(case((ledger.c.delta > 0, ledger.c.delta), else_=0))
    went = func.sum(case((ledger.c.delta < 0, -ledger.c.delta), else_=0))
    statement = (
        select(ledger.c.row_id, came, went)
        .where(ledger.c.kind == resource.kind)
        .group_by(ledger.c.row_id)
        .having(came < went)
    )
    for id_, came_in, went_out in scope.rows(conn, statement):
        yield f"{resource.kind}:{id_}", f"at most {came_in} out", f"{went_out} out"


def _unlinked(counted: Sequence[Resource], ledger: Table, row_ids: Sequence[str]) -> Select[Any]:
    """The entries of some rows that do not follow from the entry before them."""
    linked = (
        select(
            ledger.c.row_id,
            ledger.c.kind,
            ledger.c.version,
            (_before(ledger, ledger.c.amount_after) + ledger.c.delta).label("amount"),
            (_before(ledger, ledger.c.held_after) + ledger.c.held).label("held"),
            ledger.c.amount_after,
            ledger.c.held_after,
        )
        .where(ledger.c.kind.in_([resource.kind for resource in counted]), ledger.c.row_id.in_(row_ids))
        .subquery()
    )
    return select(linked).where(or_(linked.c.amount != linked.c.amount_after, linked.c.held != linked.c.held_after))


def out_of_step(counted: Sequence[Resource], ledger: Table = DEFAULT.ledger) -> Select[Any]:
    """Rows with an entry that does not follow from the version before it, lacks that version, or has its version twice.

    Each entry is stacked twice: under its own version, and as the one before under the next version. A window function
    over all entries would find the broken link itself, but MariaDB takes minutes for a million entries.
    """
    row = (ledger.c.kind, ledger.c.row_id)
    own = select(
        *row, ledger.c.version, ledger.c.delta, ledger.c.held, ledger.c.amount_after, ledger.c.held_after, one("own")
    )
    before = select(
        *row,
        (ledger.c.version + 1).label("version"),
        ledger.c.amount_after.label("amount_before"),
        ledger.c.held_after.label("held_before"),
        one("before"),
    )
    of_counted = ledger.c.kind.in_([resource.kind for resource in counted])
    both = stack(own.where(of_counted), before.where(of_counted))
    total = {column.key: func.sum(column) for column in both.c}
    suspect = or_(
        total["own"] != 1,
        total["before"] != case((both.c.version == 1, 0), else_=1),
        total["amount_before"] + total["delta"] != total["amount_after"],
        total["held_before"] + total["held"] != total["held_after"],
    )
    found = many_groups(
        select(both.c.row_id).group_by(both.c.kind, both.c.row_id, both.c.version).having(total["own"] > 0, suspect)
    ).subquery()
    return select(found.c.row_id).distinct()


def repeated_versions(
    kind: str, ledger: Table = DEFAULT.ledger, *, of: Select[tuple[str]] | None = None
) -> Select[Any]:
    """Rows of a kind with two entries of one version; for a kind that changes rarely, or for a few rows.

    Args:
        kind: of the rows.
        ledger: with the entries.
        of: the ids of the rows; None: all of that kind.
    """
    found = (
        select(ledger.c.row_id)
        .where(ledger.c.kind == kind, true() if of is None else ledger.c.row_id.in_(of))
        .group_by(ledger.c.row_id, ledger.c.version)
        .having(func.count() > 1)
        .subquery()
    )
    return select(found.c.row_id)


def _before(ledger: Table, column: ColumnElement[int]) -> ColumnElement[int]:
    """The value of the entry before; 0 before the first."""
    before = func.lag(column).over(
        partition_by=[ledger.c.kind, ledger.c.row_id], order_by=[ledger.c.version, ledger.c.request_id]
    )
    return func.coalesce(before, 0)


def _of_rows(ledger: Table, kind: str, *sums: ColumnElement[int]) -> Select[Any]:
    """Sums over the entries of each row of a kind, read in the order of the ledger's key."""
    return select(ledger.c.row_id.label("id"), *sums).where(ledger.c.kind == kind).group_by(ledger.c.row_id)


def impossible(amount: ColumnElement[int], held: ColumnElement[int]) -> ColumnElement[bool]:
    """Whether a counter is negative, or more is held than there is."""
    return or_(amount < 0, held < 0, held > amount)


def _pair(amount: int, held: int) -> str:
    return f"{amount} ({held} held)"

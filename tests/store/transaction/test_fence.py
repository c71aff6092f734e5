"""FENCE: the row itself refuses a lock holder whose time is over."""

from sqlalchemy import select

from stockade.core import Accepted, FenceRefused, Guard, GuardKind, Key
from stockade.shop.model.tables import skus
from stockade.store.transaction.decide import BatchDecider
from stockade.store.transaction.pending_batch import PendingBatch
from tests.store.commands import Charge, Take, rid
from tests.store.conftest import soon
from tests.store.helpers import figures

KEY = Key("stock", "s")


def fence(token, owner):
    """The guard of a lock holder."""
    return Guard(GuardKind.FENCE, fences={KEY: (token, owner)})


async def run(store, name, token, owner):
    """One order under a fence."""
    (answer,) = await store.transact([Take(rid(name))], fence(token, owner), deadline=soon())
    return answer


async def test_a_newer_holder_shuts_the_older_one_out(store):
    """Token 2 was seen: token 1 is refused, nothing happened, and the error names the row and its token."""
    assert isinstance(await run(store, 1, 1, "a"), Accepted)
    assert isinstance(await run(store, 2, 2, "b"), Accepted)
    late = await run(store, 3, 1, "a")
    assert isinstance(late, FenceRefused)
    assert (late.key, late.fence, late.outcome) == ("stock:s", 2, "none")
    assert await figures(store) == (18, 3, 3, 18)


async def test_an_equal_token_of_another_owner_is_refused(store):
    """A failover grants the same token twice: the second owner of it is refused, the first goes on."""
    assert isinstance(await run(store, 1, 7, "a"), Accepted)
    assert isinstance(await run(store, 2, 7, "b"), FenceRefused)
    assert isinstance(await run(store, 3, 7, "a"), Accepted)


async def test_the_fence_is_installed_before_the_read(store):
    """Holder 1 pauses before its transaction, holder 2 only reads: 1 is refused although 2 has not written yet."""
    seen = await store.database.transaction(
        lambda c: store._steps.load(c, PendingBatch([Take(rid(2))]), fence(2, "b")), deadline=soon()
    )
    assert seen[0][KEY].state.on_hand == 20
    assert isinstance(await run(store, 1, 1, "a"), FenceRefused)
    installed = await store.database.read(lambda c: tuple(c.execute(select(skus.c.fence, skus.c.fence_owner)).one()))
    assert installed == (2, "b")


async def test_without_a_fence_the_late_writer_wins(store):
    """The negative control: the same two holders under NONE lose an update."""
    decider = BatchDecider(store._resources, store._tables)
    batches = []
    for name in ("late", "new"):
        batch = PendingBatch([Take(rid(name))])
        rows, recorded = await store.database.read(lambda c, a=batch: store._steps.load(c, a, Guard.NONE))
        batches.append((batch, decider.decide(batch.commands, rows, recorded)))
    for batch in reversed(batches):
        await store.database.transaction(lambda c, b=batch: store._steps.write(c, *b, Guard.NONE), deadline=soon())
    on_hand, _, _, total = await figures(store)
    assert on_hand == total + 1


async def test_a_row_that_is_not_there_refuses_nobody(store):
    """The first charge under a fence opens the account, and the next one is fenced."""
    guard = Guard(GuardKind.FENCE, fences={Key("points", "u"): (5, "a")})
    (first,) = await store.transact([Charge(rid(1))], guard, deadline=soon())
    assert isinstance(first, Accepted)
    (second,) = await store.transact([Charge(rid(2))], guard, deadline=soon())
    assert second.data["balance"] == 200
    old = Guard(GuardKind.FENCE, fences={Key("points", "u"): (4, "b")})
    (late,) = await store.transact([Charge(rid(3))], old, deadline=soon())
    assert isinstance(late, FenceRefused)

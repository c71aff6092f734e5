"""Whatever a well-typed command holds and whatever the rows hold, `decide` answers and keeps its bounds."""

from hypothesis import given
from hypothesis import strategies as st

from stockade.core import Key, Row
from stockade.shop.commands import (
    AdjustStock,
    CancelOrder,
    ChargePoints,
    CreateProduct,
    ExpireOrder,
    NewSku,
    OrderLine,
    PayOrder,
    PlaceOrder,
    RemoveCartItem,
    SetCartItem,
    SkuPrice,
    UpdateProduct,
)
from stockade.shop.model.states import (
    AttemptState,
    CancelledLine,
    LineState,
    OrderState,
    PaymentState,
    PointsState,
    ProductState,
    SkuOfProduct,
    StockState,
)

# mostly what can be accepted, else nothing but the checks of the content would be reached
NUMBERS = st.one_of(*[st.integers(1, 9)] * 6, st.integers(-3, 30), st.integers(-(2**70), 2**70))
IDS = st.sampled_from([*["a", "b", "u"] * 8, "", "x" * 65, "\x00"])
SOME = st.integers(0, 30)
HEAD = (st.just("0" * 32), st.just("f"), NUMBERS)
COMMANDS = st.one_of(
    st.builds(
        PlaceOrder,
        *HEAD,
        IDS,
        st.lists(st.builds(OrderLine, IDS, NUMBERS), max_size=3).map(tuple),
        st.sampled_from(["POINTS", "LATER", "?"]),
        NUMBERS,
        st.just(-1) | NUMBERS,
    ),
    st.builds(PayOrder, *HEAD, IDS, IDS),
    st.builds(CancelOrder, *HEAD, IDS, st.none() | IDS, IDS),
    st.builds(ExpireOrder, *HEAD, IDS),
    st.builds(ChargePoints, *HEAD, IDS, NUMBERS),
    st.builds(
        CreateProduct, *HEAD, IDS, IDS, st.lists(st.builds(NewSku, NUMBERS, NUMBERS, IDS), max_size=3).map(tuple)
    ),
    st.builds(AdjustStock, *HEAD, IDS, NUMBERS, IDS),
    st.builds(SetCartItem, *HEAD, IDS, IDS, NUMBERS),
    st.builds(RemoveCartItem, *HEAD, IDS, IDS),
    st.builds(
        UpdateProduct,
        *HEAD,
        IDS,
        st.just(1) | NUMBERS,
        IDS,
        IDS,
        st.sampled_from(["ACTIVE", "HIDDEN", "?"]),
        st.lists(st.builds(SkuPrice, IDS, NUMBERS), max_size=3).map(tuple),
    ),
)
FEW = st.integers(0, 3)
STATUSES = st.sampled_from([*["RESERVED", "PAID", "APPROVED"] * 4, "CANCELLED", "EXPIRED", "PENDING", "?"])

ATTEMPTS = st.sampled_from(
    [*["APPROVING", "APPROVED", "UNKNOWN"] * 3, "READY", "DECLINED", "UNFULFILLABLE", "CANCELLED", "?"]
)


@st.composite
def stocks(draw):
    """A stock row as the CHECKs allow it."""
    on_hand = draw(SOME)
    return StockState("p", draw(SOME), on_hand, draw(st.integers(0, on_hand)), draw(st.sampled_from([0, 0, 0, 1])))


@st.composite
def accounts(draw):
    """A points row as the CHECKs allow it."""
    balance = draw(SOME)
    return PointsState(balance, draw(st.integers(0, balance)))


STATES = {
    "stock": st.none() | stocks(),
    "points": st.none() | accounts(),
    "order": st.none()
    | st.builds(OrderState, st.just("u"), STATUSES, FEW, st.just("LATER"), NUMBERS, IDS, IDS, NUMBERS),
    "lines": st.none() | st.lists(st.builds(LineState, IDS, IDS, FEW, SOME), max_size=3).map(tuple),
    "product": st.none() | st.builds(ProductState, IDS, IDS, st.just("ACTIVE"), NUMBERS, IDS),
    "skus": st.none() | st.lists(st.builds(SkuOfProduct, IDS), max_size=3).map(tuple),
    "order_cancelled": st.none() | st.lists(st.builds(CancelledLine, IDS, FEW, SOME, IDS), max_size=3).map(tuple),
    "attempt": st.none() | st.builds(AttemptState, status=ATTEMPTS, subject=st.sampled_from(["order", "charge"])),
    "payment": st.none() | st.builds(PaymentState, IDS, IDS, STATUSES, st.just("POINTS"), FEW, NUMBERS),
}


@given(COMMANDS, st.data())
def test_decide_is_total_and_keeps_its_bounds(command, data):
    """It never raises, needs two passes at most, a refusal changes no row, and no counter leaves its bounds."""
    rows = {key: Row(key, data.draw(STATES[key.kind]), 1) for key in command.keys}
    for _ in range(3):
        decision = command.decide(rows)
        if not decision.need_keys:
            break
        for key in decision.need_keys:
            rows.setdefault(key, Row(key, data.draw(STATES[key.kind]), 1))
    assert decision.outcome is not None
    if not decision.outcome.accepted:
        assert not any((decision.changes, decision.deletes))
        assert {insert.table for insert in decision.inserts} <= {"refused_orders"}
        assert {event.kind for event in decision.events} <= {"order.rejected"}
        return
    assert command.problem() is None
    for key, change in decision.changes.items():
        check_change(key, rows[key].state, change)


def check_change(key: Key, before, change):
    """The differences are those of the states, and the states pass the table's CHECKs."""
    if key.kind not in ("stock", "points"):
        assert (change.delta, change.held) == (0, 0)
        return
    amount, held = (2, 3) if key.kind == "stock" else (0, 1)
    old = before or (0, 0, 0, 0)
    assert change.state[amount] - old[amount] == change.delta
    assert change.state[held] - old[held] == change.held
    assert 0 <= change.state[held] <= change.state[amount]

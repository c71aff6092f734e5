"""The states of a batch: which may follow which, and what each one means for its answers."""

import pytest

from stockade.core import Busy, Unknown
from stockade.store.transaction.pending_batch import LEGAL_TRANSITIONS, BatchState, PendingBatch
from tests.store.helpers import takes

STATES = list(BatchState)


@pytest.mark.parametrize("before", STATES, ids=lambda state: state.value)
def test_only_legal_transitions_are_made(before):
    """Every other transition is an error, but that a batch in doubt which looks its ids up simply stays in doubt."""
    for after in STATES:
        batch = PendingBatch(takes(1), state=before)
        if before is BatchState.COMMIT_IN_DOUBT and after is BatchState.LOOK_UP_IDS:
            batch.become(after)
            assert batch.state is before
        elif after in LEGAL_TRANSITIONS[before]:
            batch.become(after)
            assert batch.state is after
        else:
            with pytest.raises(AssertionError):
                batch.become(after)


@pytest.mark.parametrize(("state", "kind"), [(BatchState.LOOK_UP_IDS, Busy), (BatchState.COMMIT_IN_DOUBT, Unknown)])
def test_an_error_in_doubt_is_unknown(state, kind):
    """A batch that may have committed never answers that nothing happened; its parts neither."""
    batch = PendingBatch(takes(1, 2), state=state)
    batch.split()
    for part in batch.parts:
        part.give_up(Busy("late"))
        (answer,) = part.answers
        assert type(answer) is kind
    whole = PendingBatch(takes(1, 2), state=state)
    whole.give_up(Busy("late"))
    assert [type(each) for each in whole.answers] == [kind, kind]


def test_parts_of_a_batch_commit_no_offsets():
    """Only a transaction with all commands of the call may say that they are consumed."""
    batch = PendingBatch(takes(1, 2))
    assert batch.may_commit_offsets([])
    batch.split()
    assert [part.may_commit_offsets([]) for part in batch.parts] == [False, False]


def test_a_single_new_command_is_not_looked_up():
    """The insert of its id refuses a recorded one; a batch, and whatever failed before, is looked up."""
    assert not PendingBatch(takes(1)).looks_up_ids
    assert PendingBatch(takes(1, 2)).looks_up_ids
    assert PendingBatch(takes(1), state=BatchState.LOOK_UP_IDS).looks_up_ids

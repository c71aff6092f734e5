"""Workloads: the seed decides every request, and the rows that are read exist."""

import itertools

import pytest

from stockade.lab.errors import LabError
from stockade.lab.model.burst import PREFIX, RepeatNames
from stockade.lab.workloads.registry import WORKLOADS, find_workload

NAMES = RepeatNames("7", 0, 0, 0, 1_000)
COUNT = 400
ALL = (*WORKLOADS, "preset:reference", "preset:cart:sorted")


def first(name, seed, names=NAMES):
    return list(itertools.islice(find_workload(name).requests(names, seed), COUNT))


@pytest.mark.parametrize("name", ALL)
def test_equal_seeds_send_equal_requests(name):
    """The same seed and names give the same commands and differences, in the same order."""
    assert first(name, 3) == first(name, 3)


@pytest.mark.parametrize("name", WORKLOADS)
def test_another_seed_sends_other_requests(name):
    """Another seed chooses otherwise: a workload that ignored its seed would prove nothing twice."""
    assert first(name, 3) != first(name, 4)


@pytest.mark.parametrize("name", ALL)
def test_requests_are_of_this_recording_only(name):
    """Each request has an id of its own that no recording of another name has, and every row is marked as the lab's."""
    sent = [request.command for request in first(name, 3)]
    assert len({command.request_id for command in sent}) == len(sent)
    other = RepeatNames("8", 0, 0, 0, 1_000)
    assert {each.request_id for each in sent}.isdisjoint(each.command.request_id for each in first(name, 3, other))
    assert all(key.id.startswith(PREFIX) for command in sent for key in command.keys if key.kind in ("stock", "points"))


@pytest.mark.parametrize("name", ALL)
def test_announced_differences_are_of_rows_that_the_command_names(name):
    """A difference belongs to a row that its command names: the checkers look for it in that row's ledger."""
    for request in first(name, 3):
        assert {*request.deltas, *request.takes} <= {str(key) for key in request.command.keys}


def test_some_ids_are_used_again_for_another_order():
    """The second content of an id differs, by its hash and by itself, and names rows of the same kinds."""
    reused = [request for request in first("repeats", 3) if request.reuse is not None]
    assert 2 < len(reused) < COUNT // 10
    for request in reused:
        assert request.reuse.request_id == request.command.request_id
        assert request.reuse.fingerprint != request.command.fingerprint
        assert request.reuse.lines != request.command.lines


@pytest.mark.parametrize("name", sorted({*ALL} - {"charges-and-spends"}))
def test_setup_makes_the_rows_that_are_read(name):
    """Clients read rows that exist."""
    workload = find_workload(name)
    made = {key for command in workload.setup(NAMES) for key in command.keys}
    assert workload.rows(NAMES)
    assert set(workload.rows(NAMES)) <= made


def test_the_first_charge_opens_an_account():
    """The accounts of this workload are made by the load, so that the first charges compete for a missing row."""
    workload = find_workload("charges-and-spends")
    made = {key for command in workload.setup(NAMES) for key in command.keys}
    assert made.isdisjoint(workload.rows(NAMES))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("nothing", "unknown workload 'nothing'; there are: order-stream, "),
        ("preset:nothing", "unknown preset 'nothing'"),
        ("preset:cart", "means cart:sorted, cart:unsorted: name one"),
        ("preset:payment-once", "pays through a gateway"),
        ("preset:cart:unsorted", "takes rows in the order of the request"),
        ("stockade.shop.application:APPLICATION", "is no workload: it has no summary"),
    ],
)
def test_names_that_mean_no_workload(text, part):
    """One line says what is wrong, and what there is."""
    with pytest.raises(LabError, match=part):
        find_workload(text)

"""The wait-for graph as a value: whether it is circular, and its drawing."""

from stockade.lab.deadlock.wait_graph import Observer, Wait, WaitGraph

MONITOR = """
------------------------
LATEST DETECTED DEADLOCK
------------------------
*** (1) TRANSACTION:
MariaDB thread id 7, OS thread handle 1, query id 2 localhost a updating
*** (2) TRANSACTION:
MariaDB thread id 9, OS thread handle 1, query id 2 localhost a updating
*** WE ROLL BACK TRANSACTION (2)
------------
TRANSACTIONS
------------
MariaDB thread id 11, OS thread handle 1, query id 2 localhost a
"""


def graph(*waits):
    """A graph of these pairs."""
    return WaitGraph("test", tuple(Wait(a, b, "row") for a, b in waits), {1: "A", 2: "B"})


def test_a_circle_is_seen_and_a_chain_is_none():
    """Two that wait for each other, three in a ring; a chain, and a chain that leads into a circle of others."""
    assert graph((1, 2), (2, 1)).circular
    assert graph((1, 2), (2, 3), (3, 1)).circular
    assert not graph((1, 2), (2, 3)).circular
    assert not graph().circular


def test_the_drawing_names_both_sides_and_says_whether_it_closes():
    """One arrow for each wait, and a last line."""
    drawn = graph((1, 2), (2, 1)).draw().splitlines()
    assert "[A, session 1]" in drawn[0]
    assert "[B, session 2]" in drawn[0]
    assert "a deadlock" in drawn[-1]
    assert "no circle" in graph((1, 2)).draw()
    assert "no session waits" in graph().draw()


class Monitor:
    """A session that answers with the monitor's text."""

    async def rows(self, _sql):
        return [("InnoDB", "", MONITOR)]


async def test_innodbs_monitor_is_read_and_a_deadlock_of_others_is_not_ours():
    """Two transactions of the latest deadlock; with other names the graph has no waits."""
    observer = Observer(Monitor(), "mariadb")
    assert (await observer.latest_deadlock({7: "A", 9: "B"})).circular
    assert not (await observer.latest_deadlock({7: "A", 8: "B"})).waits

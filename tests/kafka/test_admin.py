"""The client of topics: its threads end with its block, also where the brokers refuse."""

from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from stockade.core import Busy
from stockade.kafka.admin import Admin

NOBODY = "127.0.0.1:9"


def threads():
    """How many threads this process has, those of librdkafka included."""
    return sum(1 for _ in Path("/proc/self/task").iterdir())


@pytest.mark.skipif(not hasattr(AdminClient, "__exit__"), reason="this release ends no client at once")
def test_no_thread_is_left_after_a_refusal():
    """The error is at hand, and with its trace the client; without the block its threads would go on."""
    before = threads()
    left = Admin(NOBODY, wait_s=0.1)
    with pytest.raises(Busy):
        left.partition_count("t")
    with_left = threads()
    assert with_left > before
    admin = Admin(NOBODY, wait_s=0.1)
    with pytest.raises(Busy) as refused, admin:
        admin.partition_count("t")
    assert threads() <= with_left, refused.value
    with left:
        pass
    assert threads() <= before

"""The contract that every lock provider fulfils, as test methods for pytest or unittest; see `LockContract`."""

from stockade.locks.testing.contract.closing import ClosingContract
from stockade.locks.testing.contract.mutex import MutexContract
from stockade.locks.testing.contract.options import OptionsContract
from stockade.locks.testing.contract.shared import SharedContract


class LockContract(MutexContract, OptionsContract, SharedContract, ClosingContract):
    """Tests of a provider. A subclass makes the provider; pytest, or unittest with `TestCase`, runs its test methods.

        class TestMyLocks(LockContract):
            shared = False

            def make_provider(self):
                return MyLocks(URL)

    The provider may be one for threads (`sync_api.Provider`) or for asyncio (`async_api.Provider`): its `close` shows
    which. Each test needs an empty lock server, or a prefix of its own.

    Attributes:
        fair: callers get a lock in the order of their requests.
        shared: it has read/write locks and semaphores.
        needs_lease: it refuses a lock without a lease, as nothing else would show that a holder is gone.
        in_process: the locks live in the provider object, so that all callers need the same one.
        shows_held_s: `inspect` reports for how long a lock has been held.
        close_ends_leases: closing the provider ends its leases (database sessions).
        limit_s: each test fails after so many seconds.
    """


__all__ = ["LockContract"]

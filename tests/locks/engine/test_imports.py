"""The room stands alone: importing it needs the standard library only, and a missing driver is named with its extra."""

import subprocess
import sys
import textwrap

import pytest


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_needs_the_standard_library_only():
    """`import stockade.locks` and `.aio` load no third-party module and no room but those below."""
    loaded = run("""
        import sys
        import stockade.locks, stockade.locks.aio, stockade.locks.fencing, stockade.locks.telemetry
        import stockade.locks.testing.simulator
        rooms = {name.split(".")[1] for name in sys.modules if name.startswith("stockade.")}
        others = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names) - {"stockade"}
        print(sorted(rooms), sorted(name for name in others if not name.startswith("_")))
    """)
    assert loaded.startswith("['core', 'drivers', 'locks']")
    third_party = {"redis", "hiredis", "asyncpg", "asyncmy", "sqlalchemy", "opentelemetry"}
    assert not third_party & set(loaded.replace("'", " ").split())


@pytest.mark.redis
def test_a_forked_child_is_somebody_else(redis_url):
    """After a fork the child does not own what the parent holds, and its own leases are renewed."""
    said = run(f"""
        import os
        from stockade.locks import RedisLocks
        locks = RedisLocks({redis_url!r}, lease_s=0.4)
        parents = locks.lock("a").acquire()
        if os.fork() == 0:
            assert locks.lock("a").try_acquire() is None
            mine = locks.lock("b").acquire()
            assert not mine.wait_lost(1.0)
            mine.release()
            os._exit(0)
        _, status = os.wait()
        parents.check()
        parents.release()
        print("exit", os.waitstatus_to_exitcode(status))
    """)
    assert said == "exit 0"


@pytest.mark.parametrize(
    ("driver", "extra", "call"),
    [
        ("hiredis", "redis", "stockade.locks.RedisLocks('redis://127.0.0.1:1')"),
        ("asyncpg", "postgres", "stockade.locks.PostgresLocks('postgresql://127.0.0.1:1/x')"),
        ("asyncmy", "mysql", "stockade.locks.MySQLLocks('mysql://127.0.0.1:1/x')"),
        ("sqlalchemy", "store", "stockade.locks.fencing.install_statement(None, {}, None)"),
        ("opentelemetry", "otel", "stockade.locks.telemetry.trace(stockade.locks.MemoryLocks())"),
    ],
)
def test_missing_driver_names_its_extra(driver, extra, call):
    """Without the driver the error says what to install."""
    said = run(f"""
        import sys
        sys.modules["{driver}"] = None
        import stockade.locks, stockade.locks.fencing, stockade.locks.telemetry
        try:
            {call}
        except stockade.locks.MissingExtra as error:
            print(error)
    """)
    assert f"pip install 'stockade[{extra}]'" in said

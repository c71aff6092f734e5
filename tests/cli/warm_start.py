"""Starts of the program without its imports: each forks from a process that has imported it.

What a test changes in the program, and the processes that `stockade serve` starts itself, begin cold. Neighbours:
`service.py` and `tests/kafka/harness.py` use it.
"""

import sys

from stockade.lab.execution.processes.forking_process import ForkingProcess

IMPORTED = (
    "stockade.cli.typer_app",
    "stockade.cli.serving.ready",
    "stockade.shop.http.server.server",
    "stockade.shop.http.server.supervisor",
    "stockade.shop.config.load",
    "stockade.kafka.worker",
    "confluent_kafka",
    "asyncpg",
    "asyncmy",
    "redis.asyncio",
    "alembic.command",
    "typer._adapters",
)
FORKING = ForkingProcess(IMPORTED)


def warm_start(words, *, cwd, env, stdout, stderr, module="stockade"):
    """Start the program with these words, as `subprocess.Popen` would, or another module; a `ForkedProcess`."""
    words = [str(each) for each in words]
    path = [str(cwd), *sys.path]
    return FORKING.start(module, words, environment=env, folder=str(cwd), streams=(stdout, stderr), path=path)

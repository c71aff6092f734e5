"""Where database sessions get their connections: from a URL, or from an engine or pool that the caller made.

`source.py` says what a source does, `url.py` makes connections of its own, `asyncio_pools.py` borrows from pools of
asyncio. `blocking_pools.py` borrows blocking connections, which `blocking_connection.py` shows with the methods of
asyncpg's and asyncmy's. `choose.py` finds the source for what the caller gave.
"""

"""Connections to Redis servers, for threads and for asyncio; `transport.py` is what all of them fulfil.

For a URL: `threaded.py` over `sockets.py`, or `multiplexed.py` over `connection.py`. For a client of redis-py:
`redis_py/`. Several masters: `cluster.py`. Notices: `subscription.py`. What replies mean: `replies.py`.
"""

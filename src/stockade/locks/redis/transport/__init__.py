"""Connections to Redis servers, for threads and for asyncio; `transport.py` is what all of them fulfil.

From a URL: `threaded.py` over `sockets.py`, or `multiplexed.py` over `connection.py`. From the caller's redis-py client:
`redis_py/`. Several masters: `cluster.py`. Notices: `subscription.py`. What replies mean: `replies.py`.
"""

"""The adapter for a redis-py client that the caller brings, e.g. one of `Sentinel.master_for`.

`blocking_client.py` and `asyncio_client.py` are the transports. Their calls go over a copy of the caller's client
(`client_copy.py`) on connections that end in time (`bounded_connection.py`).
"""

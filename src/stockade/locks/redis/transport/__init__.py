"""Connections to Redis: multiplexed asyncio, shared between threads, or a redis-py client that the caller brings."""

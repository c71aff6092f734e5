"""Time, waiting and background work, for asyncio and for threads."""

"""Drop-in replacements with other libraries' signatures: `redis_py` (redis.Redis().lock) and `threading`."""

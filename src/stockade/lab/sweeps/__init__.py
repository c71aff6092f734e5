"""Sweeps: the same orders under every strategy, while one thing about the load or the servers changes."""

"""The simulated database: a server with tables and row locks, its statements, and the connections to it."""

"""Every strategy in a simulated world: seeded orders of events, pauses, crashes, lost replies. A seed replays a run.

The code of production runs here: the strategies, the transaction of the store, the engine and the Redis backends of the
locks, the partition processors of Kafka. Only what is outside a process is simulated: time, the database server, Redis,
the log and the networks.
"""

"""Running the shop: jobs, logs, metrics, the backlog."""

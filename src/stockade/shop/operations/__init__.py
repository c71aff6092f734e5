"""Running the shop: the sweep of expired reservations, logs, metrics, the backlog."""

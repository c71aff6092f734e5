"""The shop: an order service whose concurrency control is a setting. Neighbours: `strategies` and `store` below."""

"""The shop: an order service whose strategy is a setting. Neighbours: `strategies` and `store` below."""

"""Connections: URLs, pools, and one way to run a transaction on every database."""

"""Settings, and what follows from them without a connection."""

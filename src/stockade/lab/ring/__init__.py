"""The ring: a covering array of recordings under faults, and what became of every claim in them. And the soak."""

"""Reading a request: its headers, its body, its Idempotency-Key."""

"""The state machine of a lock: acquire, hold, renew, release."""

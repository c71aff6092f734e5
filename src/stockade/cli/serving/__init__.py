"""`stockade serve`: the command, what it says when it is ready, and the private gateway beside it."""

"""Sites of recordings: private servers, the links to them, and the handles by which faults hit them."""

"""The messages from a serving process to its supervisor; in a file of its own, so that neither imports the other."""

READY = b"\0"  # on the ready pipe: connections are accepted; anything else is the reason why not
READY_WAIT_S = 30.0

"""What can go wrong with a private server, apart from what it was started for."""


class ServerUnavailable(RuntimeError):
    """The server's program cannot be had on this machine; the message says what to install."""


class ServerFailed(RuntimeError):
    """The program is there, but it did not do what was asked; the message carries the end of its log."""


class PortTaken(ServerFailed):
    """Another process took the free port first; the caller tries the next one."""

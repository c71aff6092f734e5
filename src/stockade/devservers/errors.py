"""Errors of private servers."""


class ServerUnavailable(RuntimeError):
    """The server's program is not installed on this machine; the message says what to install."""


class ServerFailed(RuntimeError):
    """The program is installed but failed; the message carries the end of its log."""


class PortTaken(ServerFailed):
    """Another process listens on the port; the caller tries another one."""

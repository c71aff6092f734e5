"""Processes, sockets and limits of connections."""

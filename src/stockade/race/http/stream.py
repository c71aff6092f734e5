"""Bytes over a socket, with or without TLS, so that the caller decides when which byte leaves this machine.

TLS is done in memory (`ssl.MemoryBIO`): the byte that is held back is one of the encrypted bytes, without which the
server can decrypt nothing of the last record of the head. Neighbour: `connection.py` speaks HTTP over it.
"""

import asyncio
import socket
import ssl

from stockade.race.http.address import Address

_CHUNK = 65_536


class Stream:
    """One connection.

    Args:
        sock: connected, non-blocking.
        address: its other end.
    """

    def __init__(self, sock: socket.socket, address: Address) -> None:
        self.socket = sock
        self._loop = asyncio.get_running_loop()
        self._tls: ssl.SSLObject | None = None
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        if address.tls:
            self._tls = address.tls.wrap_bio(self._received, self._to_send, server_hostname=address.server_name)

    @classmethod
    async def open(cls, address: Address) -> "Stream":
        """Connect, with the handshake of TLS.

        Raises:
            OSError: nobody listens, or TLS failed (ssl.SSLError).
        """
        sock = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            # the last byte must not wait for the acknowledgement of the bytes before it (Nagle's algorithm)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = cls(sock, address)
            await stream._loop.sock_connect(sock, address.place)
            if stream._tls:
                await stream._shake_hands(stream._tls)
        except BaseException:
            sock.close()
            raise
        return stream

    async def _shake_hands(self, tls: ssl.SSLObject) -> None:
        while True:  # as often as TLS has messages; the caller's time limit bounds it
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            else:
                return await self._flush()

    async def _flush(self) -> None:
        if data := self._to_send.read():
            await self._loop.sock_sendall(self.socket, data)

    async def _fill(self) -> None:
        if data := await self._loop.sock_recv(self.socket, _CHUNK):
            self._received.write(data)
        else:
            self._received.write_eof()  # the next step of TLS raises SSLEOFError

    def encoded(self, data: bytes) -> bytes:
        """The bytes that carry `data` on this connection, in the order in which they must be sent."""
        if self._tls is None:
            return data
        self._tls.write(data)
        return self._to_send.read()

    async def send(self, encoded: bytes) -> None:
        """Send bytes that are encoded already."""
        await self._loop.sock_sendall(self.socket, encoded)

    async def receive(self) -> bytes:
        """The next bytes, decoded; empty: the server has ended the connection.

        Raises:
            OSError: the connection is broken.
        """
        if self._tls is None:
            return await self._loop.sock_recv(self.socket, _CHUNK)
        while True:  # until a whole record is there; the caller's time limit bounds it
            try:
                return self._tls.read(_CHUNK)
            except ssl.SSLWantReadError:
                await self._fill()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    def close(self) -> None:
        """End the connection at once."""
        self.socket.close()

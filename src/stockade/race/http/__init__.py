"""HTTP/1.1 on plain sockets, because the last byte of a head is sent apart from the others."""

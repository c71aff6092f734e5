"""HTTP/1.1 on plain sockets, because the last byte of a request is sent apart from the others."""

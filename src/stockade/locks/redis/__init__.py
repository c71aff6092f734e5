"""Locks on Redis servers.

An acquisition passes `backend.py` (one server; `cluster.py` and `quorum.py` for several), `calls.py` and `key_names.py`
(its script call), `script.py` (sends it) and a transport in `transport/`. A caller that must wait stands in
`waiters.py` until its notice comes. The rules on the server are in `scripts/`.
"""

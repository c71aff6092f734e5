"""Service processes of a recording, which faults hit, and the wire between them and the lab."""

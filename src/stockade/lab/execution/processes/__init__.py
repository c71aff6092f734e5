"""Service processes that carry out commands, and the wire between them and the lab; faults stop and kill them."""

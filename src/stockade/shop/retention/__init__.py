"""What a shop keeps, and for how long: erasing a person's data, and archiving old orders.

Both change rows that the audit adds up, in such a way that every sum stays right. Neighbours: the command line calls
them; `service.purge` deletes old requests, which nobody has to call.
"""

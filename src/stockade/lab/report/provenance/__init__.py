"""Where the figures of a report come from: a row for each file, and the command that measures it again."""

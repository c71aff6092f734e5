"""What a run shows: verdicts, the rows of the table, the JSON document."""

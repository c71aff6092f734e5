"""What a run shows: rows and verdicts, the table, the JSON document."""

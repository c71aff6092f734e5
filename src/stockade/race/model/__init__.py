"""What a race is: its scenario, and the small languages of placeholders, pointers and invariants. No I/O."""

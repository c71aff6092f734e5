"""What people and machines read of a race: text, JSON, JUnit."""

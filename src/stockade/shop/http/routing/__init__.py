"""Routes as data, and the one path that every request takes."""

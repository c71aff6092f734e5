"""For tests of locks: a simulated world, and a simulated Redis server in it."""

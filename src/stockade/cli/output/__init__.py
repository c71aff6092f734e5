"""How the commands show things to people. Neighbours: the commands; `table` needs the standard library only."""

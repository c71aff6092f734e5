"""The history of the tables of this project; stockade's own tables have a history of their own."""

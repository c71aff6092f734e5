"""Alembic's entry: runs the migrations of one history on the connection of `stockade.store.schema.migrate`."""

from alembic import context

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    target_metadata=attributes["history"].metadata,
    version_table=attributes["history"].version_table,
    version_table_schema=attributes["history"].schema,
    transactional_ddl=False,  # the caller's transaction is the one; MariaDB and MySQL have none for DDL anyway
)
context.run_migrations()

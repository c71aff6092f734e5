"""Alembic's entry: runs the migrations on the connection that `stockade.store.schema.migrate` hands over."""

from alembic import context

from stockade.store.schema.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table="stockade_schema",
    transactional_ddl=False,  # the caller's transaction is the one; MariaDB and MySQL have none for DDL anyway
)
context.run_migrations()

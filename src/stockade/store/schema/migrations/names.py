"""The names of the tables that a migration of the store makes or changes.

`Schema.migrate` gives them. In a project whose own Alembic environment runs these migrations as a branch, its
`config.attributes["stockade_tables"]` gives them, or `stockade_prefix` and `stockade_schema` in its `alembic.ini`.
"""

from alembic import context

from stockade.store.schema.tables import StoreTables


def tables_to_migrate() -> StoreTables:
    """The names that the environment of this migration gives; the default ones where it gives none.

    Raises:
        ValueError: they cannot be names.
    """
    config = context.config
    given = config.attributes.get("stockade_tables")
    if isinstance(given, StoreTables):
        return given
    return StoreTables(config.get_main_option("stockade_prefix") or "", config.get_main_option("stockade_schema"))

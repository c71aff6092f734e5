"""What an operator can do about an error of a database, found by the text of the error. Neighbour: `common` appends it.

By text and not by error code, so that the advice always fits the sentence before it.
"""

import re

_OWNER_MIGRATES = "`stockade migrate` needs more rights than the other commands: run it as the owner of the database"
_MYSQL_RIGHTS = (
    "the shop needs: GRANT SELECT, INSERT, UPDATE, DELETE ON {place}.* TO {user}; `stockade migrate`: GRANT ALL"
)

_PLACEHOLDERS = {"place": "public", "user": "USER"}
# text of a database -> what to do; groups of the pattern fill the braces
_ADVICE = {
    r"permission denied for schema (?P<place>\S+)": (
        "the shop needs: GRANT USAGE ON SCHEMA {place} TO USER; `stockade migrate`: GRANT CREATE as well, which since "
        "PostgreSQL 15 nobody but the owner has in the schema public"
    ),
    r"permission denied for (table|relation|sequence|view) \S+( in schema (?P<place>\S+) for user (?P<user>[^:]+):)?": (
        "the shop needs: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {place} TO {user}; "
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA {place} TO {user} (by their owner, after each `stockade migrate`)"
    ),
    r'permission denied for database "?(?P<place>[^" ]+)': "its owner gives: GRANT CONNECT ON DATABASE {place} TO USER",
    r"no schema has been selected to create in": (
        "make the schema that search_path names, e.g. CREATE SCHEMA shop, or let this user use it"
    ),
    r"must be owner of": _OWNER_MIGRATES,
    r"command denied to user (?P<user>'[^']*')\S* for (column \S+ in )?table [`'](?P<place>[^`'.]+)": _MYSQL_RIGHTS,
    r"Access denied for user (?P<user>'[^']*')\S* to database [`'](?P<place>[^`']+)": _MYSQL_RIGHTS,
    r"statement pooling mode": "set pool_mode of the pooler to session or transaction for this database",
    r"attempt to write a readonly database": (
        "this user must be allowed to write the file and its folder, where SQLite keeps two more files beside it"
    ),
    r"file is not a database": "is the path right? Another program's file stands there",
    r"database is locked": "another program holds the file: let it end its transaction, or stop it",
    r"unable to open database file": "this user must be allowed to read and write the file and its folder",
    r"(table|relation|index) \S+ already exists|[Tt]able '\S+' already exists": (
        "tables of another program, or an unfinished copy, stand there: give stockade a database of its own"
    ),
    r"too many clients|[Tt]oo many connections|connection slots|max_user_connections": (
        "the server has no connection left: lower pool_size or workers, or raise its limit"
    ),
    r"--read-only|read-only transaction|READ ONLY|--super-read-only": (
        "this server takes no writes, it is a replica or set so: name the one that does"
    ),
    r"Connection refused|Connect call failed": "is the server running, and are host and port right?",
    r"Name or service not known|[Nn]o address associated|getaddrinfo": "is the name of the host right?",
    r"password authentication failed|\(using password: ": "check user and password in the URL (%40 stands for an @)",
}


def advice(message: str) -> str:
    """What to do about an error, as the end of its line; empty where nothing is known.

    Args:
        message: one line, as it is shown.
    """
    for words, what in _ADVICE.items():
        if found := re.search(words, message):
            named = {name: value for name, value in found.groupdict().items() if value}
            return f"; {what.format(**(_PLACEHOLDERS | named))}"
    return ""

"""Django is configured once in a process: for the pages about locks and about commands."""


def configure(folder):
    """Configure Django over a SQLite file in a folder, unless another test has."""
    import django
    from django.conf import settings

    if not settings.configured:
        settings.configure(
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "django.sqlite"}},
            DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
            ALLOWED_HOSTS=["*"],
        )
        django.setup()
    return settings

"""The reference pages say what the program says."""

from tests.docs import cli_reference, pictures


def test_the_command_line_page_is_what_the_program_says():
    """docs/reference/cli.md has every command and option; renew it with `python -m tests.docs.cli_reference`."""
    assert cli_reference.PAGE.read_text() == cli_reference.page()


def test_the_pictures_are_what_their_texts_say():
    """docs/pictures/*.svg are drawn from tests/docs/pictures.py; renew them with `python -m tests.docs.pictures`."""
    assert {path.name: path.read_text() for path in pictures.FOLDER.iterdir()} == pictures.drawn()

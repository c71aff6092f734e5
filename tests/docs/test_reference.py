"""The reference pages say what the program says."""

from tests.docs import cli_reference


def test_the_command_line_page_is_what_the_program_says():
    """docs/reference/cli.md has every command and option; renew it with `python -m tests.docs.cli_reference`."""
    assert cli_reference.PAGE.read_text() == cli_reference.page()

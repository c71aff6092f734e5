"""A lab run in this process, through the command line."""

import json

import pytest
from typer.testing import CliRunner

from stockade.cli import app


@pytest.fixture
def lab(tmp_path):
    """Function: options -> (exit code, document or None, everything printed)."""

    def run(*options):
        target = tmp_path / "lab.json"
        result = CliRunner().invoke(app, ["lab", "--json", str(target), *options])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        found = json.loads(target.read_text()) if target.exists() else None
        return result.exit_code, found, result.output

    return run


def by_strategy(document):
    """The runs of a document by the name of their strategy."""
    return {run["strategy"]: run for run in document["runs"]}

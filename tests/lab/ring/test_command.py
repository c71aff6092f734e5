"""`stockade lab ring` and `stockade lab soak`: options, lines and documents, with a stand-in for the recordings."""

import json
import re

import pytest
from typer.testing import CliRunner

from stockade.cli import app
from stockade.lab.errors import LabError
from stockade.lab.ring import recording_player
from tests.docs.blocks import blocks
from tests.lab.ring.parts import StandIn
from tests.lab.test_document import Draft202012Validator  # the schema of the page

SMALL = ("--databases", "sqlite", "--strategies", "unprotected,optimistic,pessimistic", "--workloads", "baskets")


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Function: a stand-in, and words after `stockade lab` -> exit code, document, everything printed."""
    monkeypatch.chdir(tmp_path)

    def run(player, *words):
        monkeypatch.setattr(recording_player.RecordingPlayer, "__call__", lambda self, cell, seed: player(cell, seed))
        result = CliRunner().invoke(app, ["lab", *words])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        file = tmp_path / "out.json"
        return result.exit_code, json.loads(file.read_text()) if file.exists() else None, result.output

    return run


def unprotected(cell):
    """What breaks in a ring that is right."""
    return cell.contender == "unprotected"

"""What is installed here, for documents: asked of the programs themselves, which may not answer."""

import pytest

from stockade.devservers.launch import Program
from stockade.lab.reporting import installed


@pytest.mark.parametrize(
    ("script", "said"),
    [("echo server 15.2; echo more", "server 15.2"), ("exec tail -f /dev/null", "does not say its version")],
)
def test_a_program_that_does_not_answer_loses_nothing(tmp_path, monkeypatch, script, said):
    """A document of hours is written all the same."""
    monkeypatch.setattr(installed, "VERSION_WAIT_S", 0.5)
    path = tmp_path / "server"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    assert installed._said_by(Program(path)) == said
    path.unlink()
    assert installed._said_by(Program(path)) == "does not say its version"

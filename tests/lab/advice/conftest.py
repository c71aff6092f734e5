"""The advice of documents, for the tests of this folder."""

import json

import pytest

from stockade.lab.advice.advisor import advise
from stockade.lab.advice.lines import lines_of
from stockade.lab.advice.measurements import read_measurements


@pytest.fixture
def advice(tmp_path):
    """Function: documents -> the advice by resource, and the lines that are printed."""

    def read(*documents):
        files = []
        for number, document in enumerate(documents):
            files.append(tmp_path / f"{number}.json")
            files[-1].write_text(json.dumps(document))
        measured = read_measurements([str(file) for file in files])
        found = advise(measured)
        return {each.resource: each for each in found}, "\n".join(lines_of(found, measured)).replace(str(tmp_path), "")

    return read

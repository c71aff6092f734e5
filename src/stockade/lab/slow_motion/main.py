"""The process of one race in slow motion: reads what to do, one line of JSON each, and answers with the state.

`python -m stockade.lab.slow_motion.main CONTROL DATABASE`. A line is the name of who goes on. The process ends with its
input, so it never outlives the page's server. Neighbours: `story.py` makes the state, `lab/live/child.py` starts it.
"""

import json
import sys

from stockade.lab.errors import LabError
from stockade.lab.lines import Input, run_child, write_line
from stockade.lab.slow_motion.story import Story
from stockade.lab.slow_motion.two_buyers import open_race


async def play(control: str, database: str) -> None:
    """Play a race until the input ends."""
    async with Input() as lines, open_race(control, database) as race:
        story = Story(race)
        write_line(await story.state())
        async for line in lines:
            try:
                await story.step(json.loads(line))
                write_line(await story.state())
            except LabError as error:
                write_line({"error": str(error)})


if __name__ == "__main__":
    run_child(play(*sys.argv[1:3]))

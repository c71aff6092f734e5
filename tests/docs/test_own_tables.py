"""docs/how-to/own-tables.md: its program runs, prints what the page says, and holds under the strategies it names."""

import pytest

from tests.docs.blocks import blocks, program

PAGE = "how-to/own-tables.md"


async def test_the_program_prints_what_the_page_says(capsys):
    """The blocks are one program, and its output is the block that the page shows."""
    module = program(PAGE, name="own_tables_page")
    await module.main()
    assert capsys.readouterr().out == blocks(PAGE, "text")[0]


@pytest.mark.parametrize("strategy", ["conditional", "pessimistic", "optimistic", "in-process", "serializable"])
async def test_the_program_is_right_under_another_strategy(capsys, strategy):
    """Five of eight bookings are accepted under every strategy that protects rows."""
    await program(PAGE, name="own_tables_page").main(strategy_name=strategy)
    assert capsys.readouterr().out == blocks(PAGE, "text")[0]

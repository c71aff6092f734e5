"""What advice says of loads that no file has: which, why, and the command that measures them."""

from tests.lab.advice.test_advice import CONTROL, buyers, run


def test_what_was_not_measured_is_measured_where_the_rest_was(advice):
    """The command names the database of the files; axes with one reason are one line."""
    document = buyers({"optimistic": [10] * 3, "pessimistic": [90] * 3})
    document["sweep"]["settings"]["database"] = "mariadb"
    _, lines = advice(document)
    assert "points: not measured; measure it with: stockade lab sweep --resource points --database mariadb" in lines
    how = "no file has it; measure it with: stockade lab sweep --database mariadb --json FILE"
    assert f"  keys, section, pool, processes, skew, latency: not measured: {how}" in lines


def test_partitions_are_missed_only_where_kafka_took_part(advice):
    """Without it the axis changes nothing; with it the axis is named, until a file has it."""
    found, _ = advice(buyers({"optimistic": [10] * 3, "kafka": [90] * 3}))
    assert found["stock"].not_measured["partitions"] == "no file has it"
    found, _ = advice(buyers({"optimistic": [10] * 3, "pessimistic": [90] * 3}))
    assert "partitions" not in found["stock"].not_measured


def test_a_burst_alone_says_what_it_does_not_say(advice):
    """One load decides nothing about others: one line, one command; SQLite has no link to be late on."""
    control = run("unprotected", [9.0] * 6, **CONTROL)
    burst = {
        "schema": "stockade.lab/1",
        "runs": [control, run("optimistic", [10.0] * 6), run("pessimistic", [20.0] * 6)],
    }
    _, lines = advice(burst)
    how = "no file has it; measure it with: stockade lab sweep --json FILE"
    assert f"  buyers, keys, section, pool, processes, skew: not measured: {how}" in lines
    assert "  latency: not measured: needs a private server: --database postgres or mariadb" in lines

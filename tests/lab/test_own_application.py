"""The lab with the commands of an application of one's own: `stockade lab --app`."""

import json

from typer.testing import CliRunner

from stockade.cli import app

PATH = "coupons.application:APPLICATION"


def lab(*options):
    done = CliRunner().invoke(app, ["lab", *options, "--json", "-"])
    return done.exit_code, done.stdout, done.stderr


def test_every_strategy_of_sqlite_runs_the_coupons():
    """All strategies give out each coupon once; `unprotected` must give out more, and its repeat is judged by it."""
    code, out, err = lab("--app", PATH, "--repeats", "1", "--preset", "first-100")
    assert code == 0, err
    runs = {run["strategy"]: run for run in json.loads(out)["runs"]}
    assert {"unprotected", "in-process", "optimistic", "pessimistic", "conditional", "sequencer"} <= set(runs)
    assert {(run["accepted"], run["rejected"]) for name, run in runs.items() if name != "unprotected"} == {(100, 50)}
    assert runs["unprotected"]["accepted"] > 100


def test_two_processes_send_the_commands():
    """Child processes find the application by its path; no user gets two coupons."""
    code, out, err = lab(
        *("--app", PATH, "--repeats", "1", "--preset", "one-each", "--processes", "2", "--strategies", "pessimistic")
    )
    assert code == 0, err
    (run,) = json.loads(out)["runs"]
    assert (run["accepted"], run["rejected"]) == (40, 40)


def test_kafka_decides_them(kafka_bootstrap):
    """The log carries commands of any application that has a codec."""
    code, out, err = lab(
        *("--app", PATH, "--repeats", "1", "--preset", "first-100", "--strategies", "kafka", "--kafka", kafka_bootstrap)
    )
    assert code == 0, err
    (run,) = json.loads(out)["runs"]
    assert (run["accepted"], run["rejected"]) == (100, 50)


def test_a_preset_that_there_is_not():
    """The message lists the presets of the application, not those of the shop."""
    code, _, err = lab("--app", PATH, "--preset", "reference")
    assert code == 2
    assert "unknown preset 'reference'; there are: first-100, one-each, all" in err


def test_a_workload_of_its_own_is_recorded():
    """Service processes find the application, the lab the workload; the same holds for their negative control."""
    code, out, err = lab_record("--strategies", "sequencer,unprotected", "--workload", "coupons.lab:STREAM")
    assert code == 0, (out, err)
    assert "coupons / sequencer" in out
    assert "as claimed" in out
    assert "violated as claimed, as it must be" in out
    assert out.count("not judged here, rules of the shop: stock-conserved: there are no rows of the kind stock;") == 2
    assert "points-conserved 20" not in out
    assert "counters-conserved" in out


def lab_record(*options):
    done = CliRunner().invoke(app, ["lab", "record", "--app", PATH, "--seconds", "0.6", *options])
    return done.exit_code, done.stdout, done.stderr

"""Records appear whole or not at all, and a reader refuses what it cannot trust, naming the file."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time

import polars as pl
import pytest
from support.records import edit_json, edit_table
from support.study import LUMPED

import analysis
from analysis.loading.scan import scan
from banditrft.catalog import status, write_study
from banditrft.errors import RecordError
from banditrft.parts import ABANDONED_S, HERE, sweep_parts
from banditrft.records import EVALS, GROUPS, ROUNDS, RunTables, read_run, write_run
from banditrft.runs import expand
from banditrft.study import parse_study


def frame(schema, **columns):
    height = len(next(iter(columns.values())))
    data = {name: columns.get(name, [None] * height) for name in schema}
    return pl.DataFrame(data, schema=dict(schema))


def tables(run, **changed):
    seeds = list(run.seeds)
    made = {
        "rounds": frame(
            ROUNDS, seed=seeds, round=[1] * len(seeds), reward_mean=[0.5] * len(seeds), signal_mean=[0.5] * len(seeds),
            signal_var=[0.1] * len(seeds), zero_signal_fraction=[0.0] * len(seeds),
        ),
        "groups": frame(
            GROUPS, seed=seeds, round=[1] * len(seeds), item=[0] * len(seeds), n=[1] * len(seeds),
            reward_sum=[1.0] * len(seeds), correct_strict=[1] * len(seeds),
        ),
        "evals": frame(
            EVALS, seed=seeds, round=[0] * len(seeds), split=["train"] * len(seeds), n=[64] * len(seeds),
            reward_sum=[3.0] * len(seeds), correct_strict=[3] * len(seeds), p_exact=[0.05] * len(seeds),
        ),
    }  # fmt: skip
    made["final"] = made["evals"]
    return RunTables(**(made | changed))


@pytest.fixture
def study():
    return parse_study(LUMPED)


@pytest.fixture
def written(tmp_path, study):
    runs = expand(study, "sim")
    for run in runs:
        write_run(tmp_path, run, tables(run), {"started": "now"})
    write_study(tmp_path, study, runs, "test")
    return runs


def test_what_was_written_is_read(tmp_path, written):
    run = written[0]
    record = read_run(tmp_path / run.run_id, run.evaluation_id)
    assert record.rounds.equals(tables(run).rounds)
    assert record.final.equals(tables(run).final)
    assert record.info["design"]["rounds"] == 20
    assert not list(tmp_path.rglob("*.part"))


def test_scan_joins_conditions(tmp_path, written):
    table = scan(tmp_path, "evals").collect()
    assert table["condition"].unique().sort().to_list() == ["G=1", "G=4", "placebo"]
    assert table.height == 60
    assert set(table["run_id"]) == {run.run_id for run in written}
    assert scan(tmp_path, "final").collect().height == 60


def test_missing_run_is_named(tmp_path, written):
    (tmp_path / written[1].run_id / "evals.parquet").unlink()
    with pytest.raises(RecordError, match=written[1].run_id):
        scan(tmp_path, "evals").collect()


def test_status_tells_found_stale_and_missing(tmp_path, written, study):
    (tmp_path / written[0].run_id / f"final-{written[0].evaluation_id}.json").unlink()
    (tmp_path / written[1].run_id / "run.json").unlink()
    state = status(tmp_path, expand(study, "sim"))
    assert [len(state.found), len(state.stale), len(state.missing)] == [1, 1, 1]


@pytest.mark.parametrize("name", ["rounds", "groups", "evals"])
def test_truncated_file(tmp_path, written, name):
    run = written[0]
    path = tmp_path / run.run_id / f"{name}.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RecordError, match=rf"{name}\.parquet: is damaged"):
        read_run(tmp_path / run.run_id, run.evaluation_id)


def test_dropped_rows_and_foreign_columns(tmp_path, written):
    run = written[0]
    folder = tmp_path / run.run_id
    good = pl.read_parquet(folder / "rounds.parquet")
    edit_table(folder / "rounds.parquet", lambda table: table.head(5), rows=False)
    with pytest.raises(RecordError, match=r"rounds\.parquet: run\.json says 20 rows, got 5"):
        read_run(folder, run.evaluation_id)
    edit_table(folder / "rounds.parquet", lambda _: good.rename({"kl": "kullback"}))
    with pytest.raises(RecordError, match=r"rounds\.parquet: columns must be"):
        read_run(folder, run.evaluation_id)


def test_unknown_schema(tmp_path, written):
    path = tmp_path / written[0].run_id / "run.json"
    edit_json(path, lambda info: info | {"schema": 99})
    with pytest.raises(RecordError, match=r"run\.json: schema must be 3, got 99$"):
        read_run(path.parent, written[0].evaluation_id)
    value = json.loads(path.read_text())
    del value["sha256"]
    path.write_text(json.dumps(value | {"schema": 2}))
    with pytest.raises(
        RecordError, match=r"run\.json: states no sha256.* an earlier version wrote it.* delete"
    ):
        read_run(path.parent, written[0].evaluation_id)
    path.write_text("{")
    with pytest.raises(
        RecordError, match=r"run\.json: cannot be read as JSON.*delete the folder to run it again"
    ):
        read_run(path.parent, written[0].evaluation_id)


def test_a_table_that_is_gone_says_how_to_get_it_back(tmp_path, written):
    """`sim` takes a folder with run.json for a run and would never write the table again."""
    folder = tmp_path / written[0].run_id
    (folder / "evals.parquet").unlink()
    with pytest.raises(
        RecordError, match=r"evals\.parquet: cannot be read.*delete the folder to run it again"
    ):
        read_run(folder, written[0].evaluation_id)


FIELDS = {
    "run_id": ("0" * 16, "run_id must be '.*', got '0000"),
    "status": ("half", "status must be 'complete', got 'half'"),
    "files": ([], r"files must be a table of hashes, got \[\]"),
    "rows": (None, "rows must be a table, got None"),
    "world": ("lumped", "world must be a table, got 'lumped'"),
    "seeds": ([0], r"seeds must be the first and the last \+ 1, got \[0\]"),
    "query": ({"item": "7"}, "query must be a training query or null"),
    "design": ({"rounds": "many"}, r"design\.rounds: "),
    "evaluation": (3, "evaluation: "),
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_of_a_run_that_cannot_be_is_named(tmp_path, written, field):
    value, message = FIELDS[field]
    path = tmp_path / written[0].run_id / "run.json"
    edit_json(path, lambda info: info | {field: value})
    with pytest.raises(RecordError, match=message) as caught:
        analysis.load(tmp_path)
    assert str(path) in str(caught.value)


def test_no_flipped_bit_is_read_as_other_data(tmp_path, written, study):
    """Bits of every file of a run and of study.json, in turn: refused, with the file's name."""
    run = written[0]
    folder = tmp_path / run.run_id
    files = [tmp_path / "study.json", *folder.iterdir()]
    assert len(files) == 7

    def read():
        read_run(folder, run.evaluation_id)
        write_study(tmp_path, study, written, "test")

    for path in files:
        good = path.read_bytes()
        for bit in range(0, 8 * len(good), 1009):
            bad = bytearray(good)
            bad[bit // 8] ^= 1 << bit % 8
            path.write_bytes(bad)
            with pytest.raises(RecordError) as caught:
                read()
            assert path.name in str(caught.value), bit
        path.write_bytes(good)
    read()


@pytest.mark.parametrize(
    "name", ["run.json", "evals.parquet", "rounds.parquet", "final-{}.json", "final-{}.parquet"]
)
def test_a_file_of_another_run_is_refused(tmp_path, written, name):
    one, other = written[:2]
    name = name.format(one.evaluation_id)
    if name.endswith("parquet"):
        edit_table(tmp_path / other.run_id / name, lambda t: t.with_columns(pl.lit(0.25).alias(t.columns[7])))
    shutil.copyfile(tmp_path / other.run_id / name, tmp_path / one.run_id / name)
    with pytest.raises(RecordError, match=name.replace(".", r"\.")):
        read_run(tmp_path / one.run_id, one.evaluation_id)
    if name.endswith("parquet"):
        with pytest.raises(RecordError, match=name.replace(".", r"\.")):
            scan(tmp_path, name.partition("-")[0].removesuffix(".parquet")).collect()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("p_exact", float("nan"), "'p_exact' must be finite"),
        ("correct_strict", 65, "'correct_strict' must lie in 0..n"),
        ("correct_strict", None, "'correct_strict' must have no nulls"),
        ("correct_lenient", 2, "'correct_lenient' must lie in correct_strict..n"),
        ("reward_sum", 64.5, "'reward_sum' must lie in 0..n"),
        ("p_exact", 1.5, "'p_exact' must lie in 0..1"),
        ("round", -1, "'round' must be at least 0"),
        ("n", 0, "'n' must be at least 1"),
        ("split", "held out", "'split' must be train or test"),
        ("seed", 0, "one row for each seed, round, split, item"),
    ],
)
def test_tables_that_break_the_schema_are_not_written(tmp_path, study, column, value, message):
    run = expand(study, "sim")[0]
    bad = tables(run).evals.with_columns(pl.lit(value).cast(EVALS[column]).alias(column))
    with pytest.raises(RecordError, match=message):
        write_run(tmp_path, run, tables(run, evals=bad), {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rounds", [[0, 1], [1, 1], [2, 1]])
def test_rounds_rise_from_one(tmp_path, study, rounds):
    run = expand(study, "sim")[0]
    good = tables(run).rounds.head(1)
    bad = pl.concat([good, good]).with_columns(pl.Series("round", rounds, pl.Int32))
    with pytest.raises(
        RecordError, match=r"rounds must rise from 1 in each seed|one row for each seed, round"
    ):
        write_run(tmp_path, run, tables(run, rounds=bad), {})
    assert not list(tmp_path.iterdir())


def test_a_changed_study_keeps_the_old_description(tmp_path, written, study):
    changed = parse_study(LUMPED.replace('"G=4"', '"four"'))
    write_study(tmp_path, changed, expand(changed, "sim"), "test")
    assert len(list(tmp_path.glob("study-*.json"))) == 1
    assert [c["condition"] for c in json.loads((tmp_path / "study.json").read_text())["cells"]] == [
        "G=1",
        "four",
        "placebo",
    ]


def test_a_run_that_serves_two_final_evaluations_keeps_both(tmp_path):
    text = LUMPED.replace('name = "G=4"\nrollouts = 4', 'name = "again"\nfinal_eval_samples = 1024')
    one, again, _ = expand(parse_study(text), "sim")
    assert one.run_id == again.run_id
    for run in (one, again):
        write_run(tmp_path, run, tables(run), {"started": "now"})
    assert len(status(tmp_path, [one, again]).found) == 2
    assert not list(tmp_path.rglob("*.part"))


def test_a_folder_without_a_run_is_refused_and_kept(tmp_path, written):
    run = written[0]
    (tmp_path / run.run_id / "run.json").unlink()
    with pytest.raises(RecordError, match=rf"{run.run_id}: holds no run\.json"):
        write_run(tmp_path, run, tables(run), {"started": "now"})
    assert (tmp_path / run.run_id / "evals.parquet").exists()
    assert not list(tmp_path.rglob("*.part"))


DESCRIBED = {
    "schema": (1, "schema must be 3, got 1"),
    "name": (None, "name: input should be a valid string, got None"),
    "root_seed": ("0", "root_seed: input should be a valid integer, got '0'"),
    "claims": ("A1", "claims: "),
    "worlds": ({}, "worlds: input should be a valid list"),
    "cells": ([{"world": "lumped", "runs": 3}], r"cells\[0\]\.condition: is required"),
    "text": (3, "text: "),
}


@pytest.mark.parametrize("field", DESCRIBED)
def test_a_field_of_a_study_that_cannot_be_is_named(tmp_path, written, study, field):
    value, message = DESCRIBED[field]
    edit_json(tmp_path / "study.json", lambda said: said | {field: value})
    for read in (lambda: write_study(tmp_path, study, written, "test"), lambda: analysis.load(tmp_path)):
        with pytest.raises(RecordError, match=rf"study\.json: .*{message}"):
            read()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda said: said["cells"][0].update(world="moon"),
            r"cells\[0\]\.world: must be one of lumped, got 'moon'",
        ),
        (lambda said: said["cells"][1]["design"].update(rounds="many"), r"cells\[1\]\.design\.rounds: "),
        (
            lambda said: said["cells"][1]["evaluation"].update(eval_every=0),
            r"cells\[1\]\.evaluation\.eval_every: ",
        ),
        (lambda said: said["worlds"][0].update(seeds=0), r"worlds\[0\]\.seeds: "),
        (lambda said: said.update(claims=["Z9"]), "Z9"),
    ],
)
def test_a_setting_of_a_study_that_cannot_be_is_named(tmp_path, written, change, message):
    edit_json(tmp_path / "study.json", change)
    with pytest.raises(RecordError, match=rf"study\.json: .*{message}"):
        analysis.load(tmp_path)


def test_only_abandoned_parts_are_swept(tmp_path):
    """Of a process of another machine, boot or container nobody knows whether it lives: its part's age must tell."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    kept = [f".b.{HERE}.{os.getpid()}.part", f".c.deadbeef.{dead.pid}.part", ".mine.part"]
    swept = [f".a.{HERE}.{dead.pid}.part", f".d.deadbeef.{os.getpid()}.part"]
    for name in kept + swept:
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / f".final.parquet.{HERE}.{dead.pid}.part").write_text("half")
    for path in (tmp_path / swept[1] / "half", tmp_path / swept[1], tmp_path / kept[0]):
        os.utime(path, times=(0, time.time() - 2 * ABANDONED_S))
    sweep_parts(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*.part")) == sorted(kept)


def test_folders_may_vanish_while_parts_are_swept(tmp_path):
    """Two processes at work in one folder: either removes what the other is looking at."""
    stop = threading.Event()

    def other():
        while not stop.is_set():
            for number in range(8):
                (tmp_path / str(number)).mkdir(exist_ok=True)
            for number in range(8):
                (tmp_path / str(number)).rmdir()

    thread = threading.Thread(target=other)
    thread.start()
    try:
        for _ in range(300):
            sweep_parts(tmp_path)
    finally:
        stop.set()
        thread.join()

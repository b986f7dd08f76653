"""Records appear whole or not at all, and a reader refuses what it cannot trust, naming the file."""

import json
import os
import subprocess
import sys

import polars as pl
import pytest
from study_fixtures import LUMPED

import analysis
from banditrft.catalog import scan, status, write_study
from banditrft.errors import RecordError
from banditrft.parts import HOST, sweep_parts
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
        scan(tmp_path, "evals")


def test_status_tells_found_stale_and_missing(tmp_path, written, study):
    (tmp_path / written[0].run_id / f"final-{written[0].evaluation_id}.parquet").unlink()
    (tmp_path / written[1].run_id / "run.json").unlink()
    state = status(tmp_path, expand(study, "sim"))
    assert [len(state.found), len(state.stale), len(state.missing)] == [1, 1, 1]


@pytest.mark.parametrize("name", ["rounds", "groups", "evals"])
def test_truncated_file(tmp_path, written, name):
    run = written[0]
    path = tmp_path / run.run_id / f"{name}.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RecordError, match=rf"{name}\.parquet: cannot be read as Parquet"):
        read_run(tmp_path / run.run_id, run.evaluation_id)


def test_dropped_rows_and_foreign_columns(tmp_path, written):
    run = written[0]
    folder = tmp_path / run.run_id
    good = pl.read_parquet(folder / "rounds.parquet")
    good.head(5).write_parquet(folder / "rounds.parquet")
    with pytest.raises(RecordError, match=r"rounds\.parquet: run\.json says 20 rows, got 5"):
        read_run(folder, run.evaluation_id)
    good.rename({"kl": "kullback"}).write_parquet(folder / "rounds.parquet")
    with pytest.raises(RecordError, match=r"rounds\.parquet: columns must be"):
        read_run(folder, run.evaluation_id)


def test_unknown_schema(tmp_path, written):
    path = tmp_path / written[0].run_id / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 99}))
    with pytest.raises(RecordError, match=r"run\.json: schema must be 2, got 99$"):
        read_run(path.parent, written[0].evaluation_id)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 1}))
    with pytest.raises(RecordError, match=r"schema must be 2, got 1; an earlier version.*delete the folder"):
        read_run(path.parent, written[0].evaluation_id)
    path.write_text("{")
    with pytest.raises(RecordError, match=r"run\.json: cannot be read as JSON"):
        read_run(path.parent, written[0].evaluation_id)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("p_exact", float("nan"), "'p_exact' must be finite"),
        ("correct_strict", 65, "'correct_strict' must lie in 0..n"),
        ("correct_strict", None, "'correct_strict' must have no nulls"),
    ],
)
def test_tables_that_break_the_schema_are_not_written(tmp_path, study, column, value, message):
    run = expand(study, "sim")[0]
    bad = tables(run).evals.with_columns(pl.lit(value).cast(EVALS[column]).alias(column))
    with pytest.raises(RecordError, match=message):
        write_run(tmp_path, run, tables(run, evals=bad), {})
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


@pytest.mark.parametrize("content", ["{}", '{"text": "x", "cells": [{}]}', '{"text": "x", "cells": 3}'])
def test_a_broken_study_json_is_named(tmp_path, written, study, content):
    (tmp_path / "study.json").write_text(content)
    with pytest.raises(RecordError, match=r"study\.json: is not a study's description"):
        write_study(tmp_path, study, written, "test")
    with pytest.raises(RecordError, match=r"study\.json: is not a study's description"):
        analysis.load(tmp_path)


def test_only_parts_of_dead_processes_of_this_host_are_swept(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    names = [
        f".a.{HOST}.{dead.pid}.part",
        f".b.{HOST}.{os.getpid()}.part",
        f".c.elsewhere.{dead.pid}.part",
    ]
    for name in names:
        (tmp_path / name).mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / f".final.parquet.{HOST}.{dead.pid}.part").write_text("half")
    sweep_parts(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*.part")) == names[1:]

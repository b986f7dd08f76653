"""Logs of other trainers become records; what they do not say is unknown, never a default."""

import pytest
from support import importing as logs

import analysis
from analysis.importing import Options, read_table, read_trl, read_verl, write
from banditrft.claims import conditions
from banditrft.errors import RecordError


def records_of(found, tmp_path):
    return analysis.load(write(found, tmp_path / "runs", "other"))


def only(records):
    (cell,) = records.cells
    return cell


def test_trl_rewards_become_counts_of_the_policy_before_the_update(tmp_path):
    path = logs.trl_state(tmp_path / "trainer_state.json")
    cell = only(records_of(read_trl([path], Options(samples=logs.N)), tmp_path))
    assert cell.rounds.tolist() == [0, 1, 2, 3]
    assert cell.train[0].tolist() == [2 / 16, 4 / 16, 8 / 16, 12 / 16]
    assert cell.train_samples[0].tolist() == [16] * 4
    assert cell.final_correct.tolist() == [12]


def test_a_mean_over_several_steps_stands_in_their_middle(tmp_path):
    path = logs.trl_state(tmp_path / "s.json", counts=(10, 40), every=5)
    cell = only(records_of(read_trl([path], Options(samples=logs.N)), tmp_path))
    assert cell.rounds.tolist() == [2, 7]
    assert cell.train_samples[0].tolist() == [80, 80]


def test_without_the_number_of_samples_there_are_no_counts(tmp_path):
    found = read_trl([logs.trl_state(tmp_path / "s.json")], Options())
    cell = only(records_of(found, tmp_path))
    assert not cell.has_train
    assert any(
        "--samples 8 is the fewest that makes every mean a whole count" in sentence
        for sentence in found.world.missing
    )


def test_rounds_keep_what_trl_logs_and_null_what_it_does_not(tmp_path):
    found = read_trl([logs.trl_state(tmp_path / "s.json")], Options())
    first = found.runs[0].tables.rounds.row(0, named=True)
    assert (first["reward_mean"], first["zero_signal_fraction"], first["clip_fraction"]) == (0.125, 0.25, 0.0)
    assert first["kl"] is None
    assert first["signal_mean"] is None


def test_completions_are_counted_by_prompt(tmp_path):
    found = read_trl([logs.trl_completions(tmp_path / "run")], Options())
    groups = found.runs[0].tables.groups
    assert groups.select("round", "item", "n", "correct_strict").rows() == [
        (1, 0, 2, 1),
        (1, 1, 2, 0),
        (2, 0, 2, 2),
        (2, 1, 2, 1),
    ]
    cell = only(records_of(found, tmp_path))
    assert cell.train[0].tolist() == [0.25, 0.75]
    assert cell.rounds.tolist() == [0, 1]


def test_a_folder_gives_log_and_completions_together(tmp_path):
    folder = logs.trl_completions(tmp_path / "run")
    logs.trl_state(folder / "trainer_state.json", counts=(1, 3), n=4)
    run = read_trl([folder], Options()).runs[0]
    assert run.tables.rounds["reward_mean"].to_list() == [0.25, 0.75]
    assert run.tables.evals["correct_strict"].sum() == 4


def test_verl_console_rewards_and_validations(tmp_path):
    path = logs.verl_console(tmp_path / "log.txt")
    cell = only(records_of(read_verl([path], Options(samples=logs.N, test_samples=400)), tmp_path))
    assert cell.train[0].tolist() == [2 / 16, 4 / 16, 8 / 16, 12 / 16]
    assert (cell.test_base[0], cell.test[0]) == (0.25, 0.75)
    assert cell.test_rounds.tolist() == [0, 4]


def test_verl_console_and_jsonl_say_the_same(tmp_path):
    console = read_verl([logs.verl_console(tmp_path / "log.txt")], Options(samples=logs.N)).runs[0]
    jsonl = read_verl([logs.verl_jsonl(tmp_path / "m.jsonl")], Options(samples=logs.N)).runs[0]
    kept = ("round", "reward_mean", "grad_norm")
    assert console.tables.rounds.select(kept).equals(jsonl.tables.rounds.select(kept))
    assert console.tables.evals.equals(jsonl.tables.evals)


def test_verl_rollout_dumps_are_counted_by_prompt(tmp_path):
    cell = only(records_of(read_verl([logs.verl_dumps(tmp_path / "dumps")], Options()), tmp_path))
    assert cell.train[0].tolist() == [0.25, 0.75]


def test_tensorboard_events_are_read(tmp_path):
    writer = pytest.importorskip("tensorboard.summary.writer.event_file_writer")
    event = pytest.importorskip("tensorboard.compat.proto.event_pb2")
    summary = pytest.importorskip("tensorboard.compat.proto.summary_pb2")
    folder = tmp_path / "tb"
    out = writer.EventFileWriter(str(folder))
    for step, k in enumerate((2, 4, 8), 1):
        value = summary.Summary.Value(tag="critic/score/mean", simple_value=k / 16)
        out.add_event(event.Event(step=step, wall_time=float(step), summary=summary.Summary(value=[value])))
    out.close()
    run = read_verl([folder], Options(samples=16)).runs[0]
    assert run.tables.evals["correct_strict"].to_list() == [2, 4, 8]
    (path,) = folder.iterdir()
    content = path.read_bytes()
    path.write_bytes(content[:-3])
    cut = read_verl([folder], Options(samples=16))
    assert cut.runs[0].tables.evals["correct_strict"].to_list() == [2, 4]
    assert any("ends in the middle of an event" in sentence for sentence in cut.world.missing)
    path.write_bytes(content.replace(b"critic/score/mean", b"critic/score/moan", 1))
    with pytest.raises(RecordError, match="event 2 is damaged"):
        read_verl([folder], Options(samples=16))


def test_a_table_of_metrics_is_one_run(tmp_path):
    path = logs.metrics_csv(tmp_path / "m.csv")
    said = Options(columns=logs.MAPPED, samples=logs.N, test_samples=40)
    cell = only(records_of(read_table([path], said), tmp_path))
    assert cell.test_rounds.tolist() == [1, 4]
    assert cell.test_curve[0].tolist() == [0.25, 0.75]
    assert not cell.has_test  # the base policy was not tested


def test_a_table_of_final_accuracies_gives_a_condition_per_design(tmp_path):
    path = logs.runs_csv(tmp_path / "runs.csv")
    columns = {"test": "accuracy", "rollouts": "G"}
    records = records_of(read_table([path], Options(columns=columns, test_samples=8)), tmp_path)
    found = {cell.condition: (cell.design.rollouts, cell.test.tolist()) for cell in records.cells}
    assert found == {"rollouts=4": (4, [0.5, 0.75, 0.875]), "rollouts=8": (8, [0.625])}


def test_rows_are_chosen_by_name(tmp_path):
    columns = {"test": "accuracy", "rollouts": "G"}
    said = Options(columns=columns, test_samples=8, rows={"name": "^big"})
    found = read_table([logs.runs_csv(tmp_path / "runs.csv")], said)
    assert [(run.condition, run.seed, run.row) for run in found.runs] == [
        ("rollouts=4", 0, 3),
        ("rollouts=4", 1, 4),
    ]


def test_a_table_of_counts_keeps_its_conditions_and_seeds(tmp_path):
    cell = only(records_of(read_table([logs.counts_csv(tmp_path / "c.csv")], Options()), tmp_path))
    assert (cell.condition, cell.n, cell.rounds.size) == ("G=4", 3, 7)
    assert cell.train[0, 0] == (0 + 1) / 16
    assert cell.start.tolist() == cell.train[:, 0].tolist()


def test_what_nobody_said_is_none_and_matches_no_claim(tmp_path):
    path = logs.trl_state(tmp_path / "s.json")
    said = Options(samples=logs.N, settings={"": {"rollouts": 4}})
    records = records_of(read_trl([path], said), tmp_path)
    cell = only(records)
    assert cell.design.rollouts == 4
    assert cell.design.learning_rate == 1e-6  # the log shows a constant one
    assert cell.design.signal is None
    assert "signal" in cell.unknown
    assert conditions(records.designs("trl"), (("signal", "raw"),)) == []


def test_seeds_count_runs_of_a_condition_in_the_order_given(tmp_path):
    paths = [logs.trl_state(tmp_path / f"{i}.json", counts=(i, i + 1)) for i in range(3)]
    found = read_trl(paths, Options(samples=logs.N, conditions=("a", "b", "a")))
    assert [(run.condition, run.seed) for run in found.runs] == [("a", 0), ("b", 0), ("a", 1)]


def test_importing_again_changes_nothing(tmp_path):
    found = read_trl([logs.trl_state(tmp_path / "s.json")], Options(samples=logs.N))
    root = write(found, tmp_path / "runs", "other")
    before = sorted(p.relative_to(root) for p in root.rglob("*"))
    write(found, tmp_path / "runs", "other")
    assert sorted(p.relative_to(root) for p in root.rglob("*")) == before


def test_a_column_can_name_the_condition(tmp_path):
    said = Options(columns={"test": "accuracy", "condition": "G"}, test_samples=8)
    found = read_table([logs.runs_csv(tmp_path / "runs.csv")], said)
    assert [run.condition for run in found.runs] == ["4", "8", "4", "4"]
    assert "rollouts" in found.world.unknown


def test_a_table_of_counts_keeps_its_own_seeds_so_that_conditions_are_paired(tmp_path):
    path = tmp_path / "c.csv"
    rows = [
        f"{c},{s},0,{r},8,{k},train"
        for c, seeds in (("a", (7, 9)), ("b", (9,)))
        for s in seeds
        for r, k in ((0, 1), (1, s - 5))
    ]
    path.write_text("\n".join(["condition,seed,item,round,n,correct,split", *rows]) + "\n")
    a, b = records_of(read_table([path], Options()), tmp_path).cells
    assert (a.keys(), b.keys()) == ([(0, 7), (0, 9)], [(0, 9)])

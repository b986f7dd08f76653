"""What a log says is read as it stands: gaps, reward scales, clocks, exports of wandb, and what diverged."""

import json

import pytest
from support import importing as logs

import analysis
from analysis.importing import Options, Scale, read_table, read_trl, read_verl, write
from banditrft.errors import InputError, RecordError

STEPS = {"step": "step", "reward": "reward"}


def evals(run, split="train"):
    """(round, n, right) of a run's evaluations."""
    table = run.tables.evals
    return [(r["round"], r["n"], r["correct_strict"]) for r in table.to_dicts() if r["split"] == split]


def table(tmp_path, text, columns=STEPS, encoding="utf-8", **said):
    path = tmp_path / "m.csv"
    path.write_text(text, encoding=encoding)
    return read_table([path], Options(columns=columns, **{"samples": 4, **said}))


def verl(tmp_path, text, name="log.txt", **said):
    path = tmp_path / name
    path.write_text(text)
    return read_verl([path], Options(**{"samples": 4, **said}))


def said(found, word):
    return [sentence for sentence in found.world.missing if word in sentence]


LINE = "step:{} - actor/grad_norm:0.5 - critic/score/mean:{}\n"
GAPS = {
    "row": lambda p: table(p, "step,reward\n1,0.25\n3,0.50\n4,0.50\n"),
    "blank cell": lambda p: table(p, "step,reward\n1,0.25\n2,\n3,0.50\n4,0.50\n"),
    "jsonl": lambda p: verl(
        p,
        "".join(
            json.dumps({"step": s, "data": {"critic/score/mean": r} if r else {"x": 1}}) + "\n"
            for s, r in ((1, 0.25), (2, None), (3, 0.5), (4, 0.5))
        ),
    ),
    "damaged line": lambda p: verl(
        p,
        LINE.format(1, "0.2500")
        + "step:2 - critic/score/mean:0.2512:30 \n"
        + LINE.format(3, "0.5000")
        + LINE.format(4, "0.5000"),
    ),
}


@pytest.mark.parametrize("gap", GAPS)
def test_a_gap_adds_no_responses_and_is_counted(tmp_path, gap):
    found = GAPS[gap](tmp_path)
    assert evals(found.runs[0]) == [(0, 4, 1), (2, 4, 2), (3, 4, 2)]
    assert said(found, "1 of the steps 1 to 4 have no mean reward")
    assert len(said(found, "lines of log.txt hold metrics that cannot be read (line 2)")) == (
        gap == "damaged line"
    )


WRAPS = {
    "bar before": "Training Progress:  25%|##   | 1/4 [00:03<00:09]" + LINE.format(2, "0.7500"),
    "bar behind": LINE.format(2, "0.7500")[:-1] + "Training Progress:  50%|##   | 2/4 [00:03<00:09]\n",
    "carriage return": "Training:  25%|\r" + LINE.format(2, "0.7500"),
    "windows": LINE.format(2, "0.7500")[:-1] + "\r\n",
    "wrapped in a name": "step:2 - actor/grad_norm:0.5 - critic/sco\nre/mean:0.7500\n",
    "wrapped in a number": "step:2 - critic/score/mean:0.7\n500 - actor/grad_norm:0.5\n",
    "wrapped between": "step:2 - actor/grad_norm:0.5\n - critic/score/mean:0.7500\n",
    "wrapped behind a colon": "step:2 - actor/grad_norm:0.5 - critic/score/mean:\n0.7500 - a/b:1\n",
    "other lines": LINE.format(2, "0.7500") + "INFO:root:0.5\n-----\n- a list - of:1 things\nhello\n",
}


@pytest.mark.parametrize("wrap", WRAPS)
def test_a_console_line_is_read_whatever_is_glued_to_it(tmp_path, wrap):
    found = verl(tmp_path, LINE.format(1, "0.2500") + WRAPS[wrap] + LINE.format(3, "0.5000"))
    assert evals(found.runs[0]) == [(0, 4, 1), (1, 4, 3), (2, 4, 2)]


def test_a_console_line_of_many_metrics_takes_no_time(tmp_path):
    many = "".join(f" - a:b/metric_{i}:c:0.5" for i in range(500))
    found = verl(tmp_path, f"step:1{many} - critic/score/mean:0.2500 x\n")
    assert evals(found.runs[0]) == [(0, 4, 1)]


def test_steps_of_a_row_are_those_that_are_said(tmp_path):
    text = "step,reward\n5,0.25\n10,0.50\n20,0.50\n"
    assert [n for _, n, _ in evals(table(tmp_path, text).runs[0])] == [4, 4, 4]
    found = table(tmp_path, text, log_every=5)
    assert evals(found.runs[0]) == [(2, 20, 5), (7, 20, 10), (17, 20, 10)]
    assert said(found, "5 of the steps 1 to 20 have no mean reward")


def test_trl_says_how_many_steps_an_entry_covers_or_is_asked(tmp_path):
    entries = [{"step": s, "reward": r} for s, r in ((1, 0.25), (5, 0.25), (15, 0.5))]
    path = tmp_path / "s.json"
    path.write_text(json.dumps({"logging_steps": 5, "log_history": entries}))
    assert evals(read_trl([path], Options(samples=4)).runs[0]) == [(0, 4, 1), (3, 16, 4), (12, 20, 10)]
    path.write_text(json.dumps(entries))
    with pytest.raises(InputError, match=r"log_every: .*s\.json does not say how many steps"):
        read_trl([path], Options(samples=4))


EXTREMES = " - critic/score/min:{} - critic/score/max:{}\n"


def scaled(tmp_path, rows, **more):
    lines = [
        LINE.format(i, f"{mean:.4f}")[:-1] + EXTREMES.format(low, high)
        for i, (mean, low, high) in enumerate(rows, 1)
    ]
    return verl(tmp_path, "".join(lines), **more)


@pytest.mark.parametrize(
    ("rows", "right"),
    {
        "-1 and 1": ([(-1.0, -1, -1), (0.0, -1, 1), (0.5, -1, 1)], [0, 2, 3]),
        "0 and 2": ([(0.5, 0, 2), (1.0, 0, 2), (2.0, 2, 2)], [1, 2, 4]),
        "0 and 1": ([(0.0, 0, 0), (0.5, 0, 1), (1.0, 1, 1)], [0, 2, 4]),
    }.values(),
)
def test_the_scale_of_rewards_is_that_of_the_logs_extremes(tmp_path, rows, right):
    found = scaled(tmp_path, rows)
    assert [k for _, _, k in evals(found.runs[0])] == right
    assert found.runs[0].tables.evals["reward_sum"].to_list() == right  # the task's reward, 0 or 1
    assert found.runs[0].tables.rounds["reward_mean"].to_list() == [mean for mean, _, _ in rows]


@pytest.mark.parametrize(
    ("rows", "shown"),
    [
        ([(-1.0, -1, -1)], "-1"),
        ([(-0.5, -1, 0)], "-1, 0"),
        ([(0.2, 0, 0.5), (0.6, 0, 1)], "0, 0.5, 1"),
        ([(0.25, 0, 0.5)], "0, 0.5"),
    ],
)
def test_a_scale_that_can_be_several_is_asked_for(tmp_path, rows, shown):
    with pytest.raises(InputError, match=rf"scale: .* shows rewards of {shown} in .*--scale LOW HIGH"):
        scaled(tmp_path, rows)


def test_the_scale_is_that_of_the_reward_map_or_what_the_user_says(tmp_path):
    text = "step,reward\n1,-1\n2,0\n3,0.5\n"
    with pytest.raises(RecordError, match=r"row 1: a mean of zeros and ones must lie in \[0, 1\].*--scale"):
        table(tmp_path, text)
    by_map = table(tmp_path, text, settings={"": {"reward": "minus-one-one"}})
    by_user = table(tmp_path, text, scale=Scale(-1, 1))
    assert [k for _, _, k in evals(by_map.runs[0])] == [k for _, _, k in evals(by_user.runs[0])] == [0, 2, 3]
    with pytest.raises(InputError, match=r"scale: rewards were said to be 0 and 2, but .* shows -1, 1"):
        scaled(tmp_path, [(0.0, -1, 1)], scale=Scale(0, 2))
    with pytest.raises(InputError, match="the reward of a wrong answer must be below"):
        Scale(1, 0)


def test_rewards_that_count_no_right_answers_are_not_counted(tmp_path):
    found = verl(tmp_path, LINE.format(1, "0.2500"), settings={"": {"reward": "random"}})
    assert evals(found.runs[0]) == []
    assert said(found, "Rewards are random")
    with pytest.raises(InputError, match=r"rewards are random, so those in .* count no right answers"):
        read_verl([logs.verl_dumps(tmp_path / "d")], Options(settings={"": {"reward": "random"}}))


def test_a_test_score_beside_other_rewards_is_asked_for(tmp_path):
    rows = "step,reward,acc,score\n1,0.00,0.5,0.5\n"
    say = {"scale": Scale(-1, 1), "test_samples": 4}
    by_name = table(tmp_path, rows, {**STEPS, "test": "acc"}, **say)
    assert evals(by_name.runs[0], "test") == [(1, 4, 2)]
    with pytest.raises(InputError, match=r"test_scale: training rewards are -1 and 1, and what 'score'"):
        table(tmp_path, rows, {**STEPS, "test": "score"}, **say)
    found = table(tmp_path, rows, {**STEPS, "test": "score"}, **say, test_scale=Scale(-1, 1))
    assert evals(found.runs[0], "test") == [(1, 4, 3)]


@pytest.mark.parametrize("high", [1, 2])
def test_dumps_of_two_rewards_are_counted_by_the_higher(tmp_path, high):
    low = 0 if high == 2 else -1
    folder = logs.verl_dumps(tmp_path / "dumps")
    for path in folder.iterdir():
        text = path.read_text().replace('"score": 0.0', f'"score": {low}')
        path.write_text(text.replace('"score": 1.0', f'"score": {high}'))
    run = read_verl([folder], Options()).runs[0]
    assert run.tables.evals["correct_strict"].to_list() == [1, 0, 2, 1]
    assert run.tables.evals["reward_sum"].to_list() == [1, 0, 2, 1]
    rewards = [high + low, 2 * low, 2 * high, high + low]
    assert run.tables.groups["reward_sum"].to_list() == rewards


def test_a_log_that_counts_from_0_keeps_its_first_step(tmp_path):
    found = verl(tmp_path, "".join(LINE.format(s, r) for s, r in ((0, "0.2500"), (1, "0.5000"))))
    assert evals(found.runs[0]) == [(0, 4, 1), (1, 4, 2)]
    assert found.runs[0].tables.rounds["round"].to_list() == [1, 2]
    assert found.runs[0].design.rounds == 2
    assert said(found, "counts steps from 0")
    analysis.load(write(found, tmp_path / "runs", "x"))


def test_a_run_that_diverged_is_read_with_nulls_and_their_count(tmp_path):
    path = logs.trl_state(tmp_path / "s.json")
    state = json.loads(path.read_text())
    for entry, value in zip(state["log_history"][2:], (float("nan"), float("inf")), strict=True):
        entry["grad_norm"] = value
    path.write_text(json.dumps(state))
    found = read_trl([path], Options(samples=logs.N))
    assert found.runs[0].tables.rounds["grad_norm"].to_list() == [0.1, 0.1, None, None]
    assert said(found, "grad_norm is not finite at 2 of 4 steps of s.json (first: 3)")
    analysis.load(write(found, tmp_path / "runs", "x"))


def test_what_stands_in_a_log_is_taken(tmp_path):
    path = tmp_path / "s.json"
    entries = [
        {"step": 1, "reward": 0.25, "rewards/acc/mean": 0.25, "learning_rate": 1e-6},
        {"step": 1, "eval_reward": 0.5, "eval_rewards/acc/mean": 0.5, "eval_loss": 0.1},
    ]
    path.write_text(json.dumps(entries))
    run = read_trl([path], Options(samples=4, test_samples=10)).runs[0]
    assert (evals(run, "test"), run.design.learning_rate) == ([(1, 10, 5)], 1e-6)
    line = LINE.format(1, "0.2500")[:-1] + " - actor/lr:{}\n"
    known = verl(tmp_path, line.format("1e-06")).runs[0]
    rounded = verl(tmp_path, line.format("0.000")).runs[0]
    assert (known.design.learning_rate, "learning_rate" in known.unknown) == (1e-6, False)
    assert "learning_rate" in rounded.unknown


def test_a_learning_rate_that_changes_is_said_and_not_taken(tmp_path):
    path = logs.trl_state(tmp_path / "s.json")
    state = json.loads(path.read_text())
    state["log_history"][0]["learning_rate"] = 0.0
    path.write_text(json.dumps(state))
    found = read_trl([path], Options())
    assert "learning_rate" in found.runs[0].unknown
    assert said(found, "learning_rate goes from 0 to 1e-06 in the log")


def test_the_count_that_fits_is_offered(tmp_path):
    text = "step,reward,acc\n1,0.1250,0.5000\n2,0.3125,0.2500\n"
    columns = {**STEPS, "test": "acc"}
    found = table(tmp_path, text, columns, samples=None)
    assert said(found, "(--samples 16 is the fewest that makes every mean a whole count)")
    assert said(found, "(--test-samples 4 is the fewest that makes every mean a whole count)")
    with pytest.raises(RecordError, match=r"row 1: must be a whole count of 7 .*--samples 16 is the fewest"):
        table(tmp_path, text, columns, samples=7)


WANDB = (
    '"Step","lr 1e-6, seed 0 - train/reward","lr 1e-6, seed 0 - train/reward__MIN",'
    '"lr 1e-6, seed 0 - train/reward__MAX","b - train/reward","b - train/reward__MIN"\n'
    '"1","0.25","0.25","0.25","",""\n"2","0.5","0.5","0.5","0.75","0.75"\n"3","","","","1","1"\n\n'
)


def test_an_export_of_wandb_is_read_as_it_is(tmp_path):
    columns = {"step": "Step", "reward": "train/reward"}
    found = table(tmp_path, WANDB, columns, encoding="utf-8-sig")
    assert [(run.condition, evals(run)) for run in found.runs] == [
        ("lr 1e-6, seed 0", [(0, 4, 1), (1, 4, 2)]),
        ("b", [(1, 4, 3), (2, 4, 4)]),
    ]
    named = table(tmp_path, WANDB, columns, encoding="utf-8-sig", conditions=("x", "y"))
    assert [run.condition for run in named.runs] == ["x", "y"]
    one = table(tmp_path, WANDB, {**columns, "reward": "b - train/reward"})
    assert [evals(run) for run in one.runs] == [[(1, 4, 3), (2, 4, 4)]]
    with pytest.raises(InputError, match=r"map: .* has no column 'reward', but Step, lr 1e-6"):
        table(tmp_path, WANDB, {**columns, "reward": "reward"})


def test_columns_of_text_are_passed_over_or_name_conditions_and_rows(tmp_path):
    text = (
        "step,phase,arm,seed,reward\n"
        "1,train,a,3,0.25\n1,eval,a,3,0.75\n1,train,b,3,0.5\n2,train,a,3,0.5\n2,train,b,3,\n3,train,b,3,1\n"
    )
    with pytest.raises(RecordError, match=r"row 2: step 1 stands there twice \('reward'\)"):
        table(tmp_path, text)
    columns = {**STEPS, "condition": "arm", "seed": "seed"}
    found = table(tmp_path, text, columns, rows={"phase": "^train$"})
    assert [(run.condition, run.seed, evals(run)) for run in found.runs] == [
        ("a", 3, [(0, 4, 1), (1, 4, 2)]),
        ("b", 3, [(0, 4, 2), (2, 4, 4)]),
    ]


def test_a_percentage_is_divided_wherever_its_sign_stands(tmp_path):
    for header in ("reward", "reward%"):
        found = table(tmp_path, f"step,{header}\n1,25.0\n", {**STEPS, "reward": "reward%"})
        assert evals(found.runs[0]) == [(0, 4, 1)]


def test_last_evaluations_of_different_size_are_runs_of_one_condition(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("seed,item,round,n,correct\n0,0,0,8,1\n0,0,1,8,4\n1,0,0,8,1\n1,0,1,16,4\n")
    (cell,) = analysis.load(write(read_table([path], Options()), tmp_path / "runs", "x")).cells
    assert (cell.n, cell.final_samples.tolist(), cell.final_correct.tolist()) == (2, [8, 16], [4, 4])


def test_rounds_that_not_all_seeds_have_are_named_or_left_out(tmp_path):
    paths = [logs.verl_console(tmp_path / f"{i}.txt", counts=(2, 4, 8, 12)[: 3 + i]) for i in range(2)]
    with pytest.raises(InputError, match=r"rounds is 3 in .*0\.txt and 4 in .*1\.txt.* or --common-rounds"):
        read_verl(paths, Options(samples=logs.N))
    lines = paths[0].read_text().splitlines()
    paths[0].write_text("\n".join([*lines[:3], *lines[4:]]))
    with pytest.raises(InputError, match=r"but .*1\.txt has one at round 1 and .*0\.txt has none"):
        read_verl(paths, Options(samples=logs.N, settings={"": {"rounds": 4}}))
    found = read_verl(paths, Options(samples=logs.N, common_rounds=True))
    assert [run.design.rounds for run in found.runs] == [3, 3]
    (cell,) = analysis.load(write(found, tmp_path / "runs", "x")).cells
    assert (cell.rounds.tolist(), cell.final_correct.tolist()) == ([0, 2], [8, 8])
    assert said(found, "did after round 3, where one ends, is left out")
    assert said(found, "2 rounds of train evaluations that not all runs of 'run' have are left out")


def test_seeds_that_a_float_cannot_tell_apart_stay_apart(tmp_path):
    big = 2**53
    for name, text in {
        "c.csv": f"seed,item,round,n,correct\n{big},0,1,4,1\n{big + 1},0,1,4,2\n",
        "c.jsonl": "".join(
            json.dumps({"seed": big + i, "item": "0", "round": 1, "n": 4, "correct": 1}) + "\n"
            for i in (0, 1)
        ),
    }.items():
        (tmp_path / name).write_text(text)
        assert [run.seed for run in read_table([tmp_path / name], Options()).runs] == [big, big + 1]


def test_an_import_again_replaces_only_an_import_and_only_when_asked(tmp_path):
    path = logs.trl_state(tmp_path / "s.json")
    root = write(read_trl([path], Options(samples=logs.N)), tmp_path / "runs", "x")
    more = read_trl([path], Options(samples=logs.N, settings={"": {"rollouts": 4}}))
    with pytest.raises(InputError, match=r"x holds another study; choose .* or --replace it"):
        write(more, tmp_path / "runs", "x")
    write(more, tmp_path / "runs", "x", replace_old=True)
    assert analysis.load(root).cells[0].design.rollouts == 4
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == ["x"]
    assert sum(p.is_dir() for p in root.iterdir()) == 1
    write(more, tmp_path / "runs", "x", command="another")
    (tmp_path / "runs" / "y").mkdir()
    with pytest.raises(InputError, match=r"y holds another study; choose another --study or --out$"):
        write(more, tmp_path / "runs", "y", replace_old=True)


def test_records_that_cannot_be_read_back_are_not_left(tmp_path):
    path = logs.trl_state(tmp_path / "s.json")
    found = read_trl([path], Options(samples=logs.N))
    table = found.runs[0].tables.evals
    object.__setattr__(found.runs[0].tables, "evals", table.vstack(table))
    with pytest.raises(RecordError, match=r"s\.json.*one row for each seed, round"):
        write(found, tmp_path / "runs", "x")
    assert not (tmp_path / "runs").exists()

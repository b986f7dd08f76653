"""Runs that are stopped: they go on bit for bit, or say why they cannot, and nothing good is lost."""

import json
import random
import resource
import shutil
from contextlib import contextmanager

import pytest
from support.llm import EVALUATION, run, same
from support.llm_killed import RUNS, go_on, killed

import llm_runs
from banditrft.errors import InputError
from banditrft.records import (
    TABLES,
    checkpoint_path,
    items_name,
    read_run,
    read_table,
    training_path,
    write_run,
)
from banditrft.schemas import ITEMS, TEXTS
from llm_runs.states import KEPT, kept_states, load, prune, resumable, save

pytestmark = pytest.mark.slow(60)

EVERY = {"checkpoint_every": 1}
DESIGNS = {
    "query": ({}, {}),
    "window": ({}, {"signal": "grpo", "replay_window": 6, "rollouts": 1}),
    "sgd": ({}, {"optimizer": "sgd", "batch_size": 2}),
    "kl in the reward": ({}, {"kl_coef": 0.1, "kl_placement": "reward", "updates_per_round": 2}),
    "pool": (
        {"train_items": 5},
        {"batch_size": 3, "baseline_rollouts": 1, "signal": "rloo", "grad_clip": 1.0},
    ),
}


class StoppedError(Exception):
    """Somebody pulls the plug."""


def stopped(root, runs, after):
    """Execute runs until so many rounds are done."""

    def tick(fraction):
        if fraction >= after / runs[0].design.rounds - 1e-9:
            raise StoppedError

    with pytest.raises(StoppedError):
        llm_runs.execute(runs, tick, root)


@pytest.mark.parametrize("name", DESIGNS)
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path, name):
    settings, design = DESIGNS[name]
    runs = [run(seed, 1, settings={**EVERY, **settings}, rounds=5, **design) for seed in (0, 1)]
    whole = llm_runs.execute(runs)
    stopped(tmp_path, runs, 2)
    stopped(tmp_path, runs[:1], 4)  # one gets further than the other
    assert [resumable(tmp_path, one) for one in runs] == [4, 2]
    again = llm_runs.execute(runs, None, tmp_path)
    assert all(same(a, b) for a, b in zip(whole, again, strict=True))


@pytest.mark.parametrize(
    "settings", [{"lora": {"rank": 2}}, {"dtype": "bfloat16"}], ids=["adapters", "bfloat16"]
)
def test_so_does_one_that_does_not_stack(tmp_path, settings):
    one = run(0, 1, settings={**EVERY, **settings}, rounds=4, kl_coef=0.1, signal="rloo", optimizer="adamw")
    stopped(tmp_path, [one], 2)
    assert resumable(tmp_path, one) == 2
    (resumed,), (whole,) = llm_runs.execute([one], None, tmp_path), llm_runs.execute([one])
    assert same(resumed, whole)
    assert (whole.rounds["update_norm"] > 0).any()


def test_killed_at_twenty_random_moments(tmp_path):
    go_on(tmp_path / "whole")
    chance = random.Random(1)
    assert sum(killed(tmp_path / "killed", chance) for _ in range(20)) == 20
    go_on(tmp_path / "killed")
    for one in RUNS:
        a, b = (tmp_path / name / one.run_id for name in ("whole", "killed"))
        first, second = (read_run(folder, one.evaluation_id) for folder in (a, b))
        for table in (*TABLES, "final"):
            times = [c for c in getattr(first, table).columns if c.startswith("seconds")]
            assert getattr(first, table).drop(times).equals(getattr(second, table).drop(times)), table
        for file, schema in ((items_name(one), ITEMS), ("texts.parquet", TEXTS)):
            assert read_table(a / file, schema).equals(read_table(b / file, schema))
        assert checkpoint_path(a).read_bytes() == checkpoint_path(b).read_bytes()
        assert not training_path(tmp_path / "killed", one).exists()


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A run stopped after three rounds, and what it comes to."""
    root = tmp_path_factory.mktemp("study")
    one = run(0, 1, settings=EVERY, rounds=4)
    stopped(root, [one], 3)
    return root, one, llm_runs.execute([one])[0]


@pytest.fixture
def study(kept, tmp_path):
    """A copy of it to spoil."""
    root, one, whole = kept
    shutil.copytree(root, tmp_path / "study")
    return tmp_path / "study", one, whole


@pytest.mark.parametrize("file", ["state.safetensors", "tables.zip", "state.json"])
@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing"])
def test_a_damaged_state_is_named_and_the_one_before_serves(study, file, damage):
    root, one, whole = study
    newest = kept_states(root, one)[-1]
    path, content = newest / file, (newest / file).read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(flipped if damage == "flipped" else content[:middle])
    with pytest.raises(InputError, match=rf"round-00000003/{file}.*delete .*round-00000003"):
        llm_runs.execute([one], None, root)
    shutil.rmtree(newest)
    assert same(llm_runs.execute([one], None, root)[0], whole)


def test_a_state_of_another_model_is_refused(study):
    root, one, _ = study
    other = run(0, 1, model="tiny-llama", settings=EVERY, rounds=4)
    with pytest.raises(InputError, match=r"state\.json: weights_sha256 must be"):
        llm_runs.execute([other], None, root)
    assert resumable(root, one) == 3


def test_a_state_of_another_run_is_refused(study):
    root, one, _ = study
    other = run(1, 1, settings=EVERY, rounds=4)
    training_path(root, one).rename(training_path(root, other))
    with pytest.raises(InputError, match=r"state\.json: run_id must be run-1-1, got run-0-1"):
        llm_runs.execute([other], None, root)


@contextmanager
def files_of_at_most(size):
    """No file may grow larger, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [500, 100_000])
def test_a_full_disk_is_said_and_loses_nothing(study, size):
    root, one, whole = study
    before = sorted(path.relative_to(root) for path in root.rglob("*"))
    with files_of_at_most(size), pytest.raises(InputError, match=r"cannot be kept .*goes on from round 3"):
        llm_runs.execute([one], None, root)
    assert sorted(path.relative_to(root) for path in root.rglob("*")) == before
    assert same(llm_runs.execute([one], None, root)[0], whole)


def test_the_newest_states_and_the_best_are_kept(tmp_path):
    one = run(0, 1, settings=EVERY, rounds=9, learning_rate=0.05, reward="minus-one-zero")
    stopped(tmp_path, [one], 8)
    rounds = [int(path.name.removeprefix("round-")) for path in kept_states(tmp_path, one)]
    assert rounds[-KEPT:] == [7, 8]
    evals = llm_runs.execute([one])[0].evals
    counts = dict(zip(evals["round"], evals["correct_strict"], strict=True))
    newest = {r: counts[r - r % 2] for r in range(1, 9)}  # evaluated every second round
    best = max(newest, key=lambda r: (newest[r], r))
    assert rounds == sorted({best, 7, 8})


def test_a_run_goes_on_under_another_final_evaluation(tmp_path):
    plan = EVALUATION.model_copy(update={"final_eval_samples": 20, "final_test_samples": 3})
    begun, asked = (
        [run(seed, 1, settings=EVERY, evaluation=e, kl_coef=0.1, rounds=4) for seed in (0, 1)]
        for e in (EVALUATION, plan)
    )
    stopped(tmp_path, begun, 2)
    stopped(tmp_path, asked[:1], 3)  # only one of them knows of the change, and is further
    made = llm_runs.execute(asked, None, tmp_path)
    assert all(same(a, b) for a, b in zip(made, llm_runs.execute(asked), strict=True))


def test_a_stack_goes_on_where_some_runs_knew_the_final_evaluation(tmp_path):
    plan = EVALUATION.model_copy(update={"final_test_samples": 3})
    runs = [run(seed, 1, settings=EVERY, evaluation=plan) for seed in (0, 1)]
    stopped(tmp_path, runs[:1], 2)
    stopped(tmp_path, [run(1, 1, settings=EVERY)], 2)
    made = llm_runs.execute(runs, None, tmp_path)
    assert all(same(a, b) for a, b in zip(made, llm_runs.execute(runs), strict=True))


def test_a_state_of_another_kind_of_learner_is_refused(study):
    root, one, _ = study
    about = kept_states(root, one)[-1] / "state.json"
    about.write_text(about.read_text().replace('"stacked"', '"module"'))
    with pytest.raises(InputError, match=r"state\.json: learner must be 'stacked'.*got 'module'.*device"):
        llm_runs.execute([one], None, root)


def test_a_state_that_another_process_kept_first_is_as_good(study):
    root, one, whole = study
    newest = kept_states(root, one)[-1]
    sha256 = json.loads((newest / "state.json").read_text())["weights_sha256"]
    save(root, one, sha256, load(root, one, 3, sha256))
    assert kept_states(root, one)[-1] == newest
    assert same(llm_runs.execute([one], None, root)[0], whole)


def test_states_that_another_process_removed_are_no_loss(study):
    root, one, _ = study
    found = kept_states(root, one)
    gone = [found[0].with_name(f"round-{number:08d}") for number in (0, 9)]
    prune([gone[0], *found, gone[1]])
    assert found[-1] in kept_states(root, one)


def test_a_run_that_another_process_recorded_needs_no_state(study):
    root, one, whole = study
    sha256 = json.loads((kept_states(root, one)[-1] / "state.json").read_text())["weights_sha256"]
    state = load(root, one, 3, sha256)
    write_run(root, one, whole, {})
    with files_of_at_most(500):
        save(root, one, sha256, state)
    assert not kept_states(root, one)

"""A learner of two shards through `llm_runs.run`, on CPU ranks: the records of one process, whatever befalls them."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from transformers import Qwen2Config, Qwen2ForCausalLM

import llm_runs
from banditrft.catalog import read_queries
from banditrft.errors import InputError
from banditrft.launch import JobsError
from banditrft.records import read_items, read_run, read_table, training_path
from banditrft.schemas import TEXTS
from banditrft.study import parse_study
from llm_runs.base_models import find_model
from llm_runs.execution import joined
from llm_runs.states import load, resumable
from llm_runs.tasks import load_task

pytestmark = pytest.mark.slow(60)

COMMAND = str(Path(sys.executable).with_name("banditrft"))
STUDY = """
name = "small"
seeds = 1
[design]
signal = "grpo"
rollouts = 4
reward = "random"
rate = 0.5
kl_coef = 0.05
optimizer = "adamw"
adam_eps = 1e-3
grad_clip = 1.0
learning_rate = 1e-3
rounds = 12
eval_every = 6
eval_samples = 8
final_eval_samples = {final}
final_test_samples = 2
[[conditions]]
name = "only"
[[llm]]
model = "{model}"
queries = {{items = [{item}], samples = 4}}
test_items = 4
device = "cpu"
keep_texts = 1
checkpoint_every = 1
shards = {shards}
"""


@pytest.fixture(scope="module")
def grouped(tmp_path_factory):
    """A random Qwen2 with grouped keys and a tied table, which does not stack, and the tiny models' tokenizer."""
    folder = tmp_path_factory.mktemp("model")
    tiny = find_model("tiny-qwen2")
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    wanted = ("vocab_size", "max_position_embeddings", "pad_token_id", "eos_token_id")
    torch.manual_seed(0)
    config = Qwen2Config(
        **sizes,
        hidden_size=32,
        intermediate_size=48,
        tie_word_embeddings=True,
        initializer_range=0.2,
        **{key: tiny.config[key] for key in wanted},
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    for path in tiny.folder.glob("*token*"):
        shutil.copy(path, folder)
    return folder


def text(model, shards, final=16):
    (item,) = load_task("arithmetic").indices("pool", 1)
    return STUDY.format(model=model, item=item, shards=shards, final=final)


def records(root, run):
    """A run's tables by name."""
    folder = root / run.run_id
    read = read_run(folder, run.evaluation_id)
    tables = {name: getattr(read, name) for name in ("rounds", "groups", "evals", "final")}
    return tables | {"items": read_items(folder, run), "texts": read_table(folder / "texts.parquet", TEXTS)}


def children(pid):
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def descendants(pid):
    """Processes that a process has started, and those that these have."""
    return [each for child in children(pid) for each in (child, *descendants(child))]


def ranks_of(pid):
    """Pids of the ranks of the job that a process computes by workers of its own, by rank."""
    found = {}
    for child in children(pid):
        about = Path(f"/proc/{child}")
        if b"spawn_main" in (about / "cmdline").read_bytes():
            variables = (about / "environ").read_bytes().split(b"\0")
            found |= {int(v[5:]): child for v in variables if v.startswith(b"RANK=")}
    return found


def wait_until(true, seconds=120):
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


def newest(root):
    """Last round of which a state is kept."""
    return max((int(path.name[6:]) for path in root.glob("training/*/round-*")), default=0)


def alive(pid):
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture(scope="module")
def story(grouped, tmp_path_factory):
    """A run that is terminated, goes on, loses a rank, goes on and ends; what was seen on the way."""
    folder, seen = tmp_path_factory.mktemp("story"), {}
    root = folder / "small"
    (folder / "study.toml").write_text(text(grouped, 2))
    command = [COMMAND, "llm", "study.toml", "--runs", str(folder), "--workers", "1"]
    process = subprocess.Popen(command, cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert wait_until(lambda: newest(root) > 0)
    ranks = ranks_of(process.pid)
    assert sorted(ranks) == [0, 1]
    started = descendants(process.pid)
    process.send_signal(signal.SIGTERM)
    seen["code"] = process.wait(timeout=30)
    seen["all gone"] = wait_until(lambda: not any(map(alive, started)), 30)

    study, reached = parse_study(text(grouped, 2), "study"), newest(root)

    def kill():
        assert wait_until(lambda: newest(root) > reached)
        os.kill(ranks_of(os.getpid())[1], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(JobsError) as raised:
        llm_runs.run(study, folder, workers=1)
    seen["lost a rank"] = raised.value.outcome
    killer.join()
    seen["left over"] = ranks_of(os.getpid())
    (run,) = llm_runs.expand_study(study, root, write=False)
    seen["state"] = load(root, run, resumable(root, run), find_model(str(grouped)).weights_sha256).tables[
        "rounds"
    ]
    seen["ended"] = llm_runs.run(study, folder, workers=1)
    seen["states left"] = training_path(root, run).exists()
    seen["tables"] = records(root, run)
    seen["weights"] = load_file(root / run.run_id / "checkpoints" / "final.safetensors")
    seen["queries"] = read_queries(root)
    return folder, seen


@pytest.fixture(scope="module")
def alone(grouped, tmp_path_factory):
    """The same run in one process."""
    folder = tmp_path_factory.mktemp("alone")
    study = parse_study(text(grouped, 1), "study")
    outcome = llm_runs.run(study, folder, workers=1)
    assert (outcome.done, outcome.failed) == (1, [])
    (run,) = llm_runs.expand_study(study, folder / "small", write=False)
    return folder, run


def test_records_are_those_of_one_process(story, alone):
    folder, run = alone
    ours, theirs = records(folder / "small", run), story[1]["tables"]
    assert story[1]["ended"].done == 1
    for name in ("groups", "evals", "final", "items"):
        assert theirs[name].equals(ours[name]), name
    assert theirs["texts"].drop("log_prob").equals(ours["texts"].drop("log_prob"))
    numbers = pl.selectors.numeric() - pl.selectors.starts_with("seconds")
    a, b = (torch.from_numpy(t["rounds"].select(numbers).to_numpy()) for t in (theirs, ours))
    assert a.shape[0] == run.design.rounds
    assert float(ours["rounds"]["update_norm"].min()) > 1e-3
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5, equal_nan=True)


def test_final_weights_are_those_of_one_process(story, alone):
    folder, run = alone
    ours = load_file(folder / "small" / run.run_id / "checkpoints" / "final.safetensors")
    torch.testing.assert_close(story[1]["weights"], ours, rtol=0, atol=1e-5)


def test_queries_are_measured_as_for_one_process(story, alone):
    assert story[1]["queries"] == read_queries(alone[0] / "small")


def test_a_terminated_launch_leaves_no_ranks(story):
    assert story[1]["code"] == -signal.SIGTERM
    assert story[1]["all gone"]


def test_a_killed_rank_is_one_clear_error(story):
    outcome = story[1]["lost a rank"]
    ((label, error),) = outcome.failed
    assert "only" in label
    assert error == "rank 1: its worker was killed by SIGKILL"
    assert outcome.done == 0
    assert story[1]["left over"] == {}


def test_a_run_goes_on_from_what_its_first_rank_kept(story):
    kept = story[1]["state"]
    assert 2 <= kept.height < 12
    assert story[1]["tables"]["rounds"].head(kept.height).equals(kept)  # times too, which no other run has
    assert not story[1]["states left"]


def test_a_finished_run_is_evaluated_again_by_its_ranks(story, alone, grouped):
    finals = []
    for folder, shards in ((story[0], 2), (alone[0], 1)):
        study = parse_study(text(grouped, shards, final=20), "study")
        outcome = llm_runs.run(study, folder, workers=1)
        assert (outcome.done, outcome.found, outcome.failed) == (1, 0, [])
        (run,) = llm_runs.expand_study(study, folder / "small", write=False)
        finals.append(records(folder / "small", run)["final"])
    assert finals[0].equals(finals[1])
    assert finals[0].filter(pl.col("split") == "train")["n"].to_list() == [20]


def test_as_many_ranks_as_shards_are_asked_for(alone, monkeypatch):
    world = alone[1].world.model_copy(update={"shards": 3})
    settings = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
    for name, value in (settings | {"MASTER_PORT": "0"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="shards: must be the number of ranks, 1, got 3"), joined(world):
        pass


def test_a_launch_is_not_started_by_torchrun(grouped, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(InputError, match="RANK: must not be set"):
        llm_runs.run(parse_study(text(grouped, 2), "study"), tmp_path, workers=1)

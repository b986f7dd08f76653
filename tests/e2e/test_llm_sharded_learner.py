"""Two ranks on the CPU, started by torchrun, take the steps of one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from programs.sharded_ranks import CASES, learner_for, results
from safetensors.torch import load

from banditrft.errors import InputError
from llm_runs.learners.module import ModuleLearner
from llm_runs.learners.sharded import join_ranks

pytestmark = pytest.mark.slow(20)

TESTS = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What rank 0 of two found in each case."""
    out = tmp_path_factory.mktemp("ranks")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launch, str(TESTS / "programs" / "sharded_ranks.py"), str(out)],
        capture_output=True,
        text=True,
        timeout=300,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
            "OMP_NUM_THREADS": "1",
        },
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return {name: torch.load(out / f"{name}.pt") for name in CASES}


@pytest.mark.parametrize("name", CASES)
def test_two_ranks_take_the_steps_of_one(found, name):
    theirs, ours = found[name], results(name, learner_for(name, ModuleLearner))
    close = 1e-5 if CASES[name][2].get("dtype") != "bfloat16" else 2e-2
    assert theirs["state"].keys() == ours["state"].keys()
    for key in ("records", "state", "logprobs", "first", "after checkpoint"):
        torch.testing.assert_close(theirs[key], ours[key], rtol=0, atol=close, check_dtype=False)
    assert ("divergence" in ours) == ("divergence" in theirs)
    if "divergence" in ours:
        torch.testing.assert_close(theirs["divergence"], ours["divergence"], rtol=0, atol=close)
    assert theirs["same after load"]


@pytest.mark.parametrize("name", CASES)
def test_a_checkpoint_of_two_ranks_has_the_names_and_weights_of_one(found, name):
    learner = learner_for(name, ModuleLearner)
    before = load(learner.checkpoint(0))
    after = load(found[name]["checkpoint"])
    assert {key: value.shape for key, value in after.items()} == {
        key: value.shape for key, value in before.items()
    }
    moved = any(not torch.equal(after[key].double(), before[key].double()) for key in after)
    assert moved == (name != "no signal")


def test_ranks_ask_to_be_started_by_torchrun(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(InputError, match="shards: needs one process per GPU; start the run with torchrun"):
        join_ranks("cpu")

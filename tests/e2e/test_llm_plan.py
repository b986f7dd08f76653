"""`banditrft llm --dry-run` and `--engine`: said before anything is spent, with or without a hub."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from study_fixtures import LLM, LUMPED

import llm_runs
from banditrft.errors import InputError
from banditrft.runs import world_key
from banditrft.study import parse_study

COMMAND = [str(Path(sys.executable).with_name("banditrft"))]
HUB = '[[llm]]\nname = "hub"\nmodel = "nobody/nothing-0B"\nseeds = 3\ntest_items = 5\n'


def banditrft(*args, cwd, code=0):
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(cwd / "hub")}
    done = subprocess.run(
        [*COMMAND, *args], cwd=cwd, capture_output=True, text=True, env=os.environ | offline
    )
    assert done.returncode == code, done.stderr
    return done


def dry(tmp_path, text, *flags):
    (tmp_path / "study.toml").write_text(text)
    return json.loads(banditrft("llm", "study.toml", "--dry-run", "--json", *flags, cwd=tmp_path).stdout)


def test_a_plan_counts_runs_rollouts_and_samples_and_writes_nothing(tmp_path):
    plan = dry(tmp_path, LUMPED + LLM)
    assert (plan["found"], plan["to_run"]) == (0, 3 * 2 * 2)  # conditions, queries, seeds
    # rounds x rollouts of G=1, G=4, placebo; evaluations at rounds 0, 2, 4, at the end, twice on 8 test items
    assert plan["rollouts"] == 4 * 4 * (1 + 4 + 1)
    assert plan["evaluated"] == 12 * (3 * 8 + 16 + 2 * 8)
    (world,) = plan["worlds"]
    assert (world["parameters_from"], world["queries_chosen"], world["unknown"]) == ("files", False, None)
    assert [c["design"].get("rollouts") for c in world["conditions"]] == [None, 4, None]
    assert all(c["design"]["learning_rate"] == 0.1 for c in world["conditions"])
    assert plan["job_bytes"] > 10**8
    assert plan["floor_s"] > 0
    assert any("updates_per_round" in line for line in plan["warnings"])
    assert [path.name for path in tmp_path.iterdir()] == ["study.toml"]


def test_a_hub_that_is_out_of_reach_leaves_only_its_world_unknown(tmp_path):
    plan = dry(tmp_path, LUMPED + LLM + HUB)
    known, unknown = plan["worlds"]
    assert known["parameters"] == 281_856
    assert unknown["parameters"] is None
    assert unknown["unknown"].startswith("model nobody/nothing-0B: ")
    assert [c["missing"] for c in unknown["conditions"]] == [3 * 4] * 3
    assert (plan["tokens"], plan["floor_s"], plan["job_bytes"]) == (None, None, None)
    done = banditrft("llm", "study.toml", "--dry-run", cwd=tmp_path)
    assert "no estimates: model nobody/nothing-0B" in done.stdout
    assert done.stdout.splitlines()[-1] == "small: 0 runs found, 48 to run"


def test_a_wrong_study_is_refused_as_ever(tmp_path):
    (tmp_path / "study.toml").write_text(LUMPED + LLM.replace("test_items = 8", "test_items = 9999999"))
    done = banditrft("llm", "study.toml", "--dry-run", cwd=tmp_path, code=2)
    assert done.stderr.startswith("error: llm[0].test_items: ")
    (tmp_path / "study.toml").write_text(LUMPED + LLM)
    done = banditrft("llm", "study.toml", "--dry-run", "--shard", "1/2", cwd=tmp_path, code=2)
    assert done.stderr == "error: --shard: --dry-run speaks of the whole study; leave one of them out\n"


def test_the_engine_of_the_command_line_is_the_worlds_own(tmp_path):
    written = parse_study(LUMPED + LLM + 'engine = "vllm"\n')
    asked = llm_runs.with_engine(parse_study(LUMPED + LLM), "vllm")
    (one,), (other,) = written.worlds("llm"), asked.worlds("llm")
    assert one == other
    assert world_key(one) == world_key(other)  # so it enters the runs' ids
    assert asked.worlds("sim") == written.worlds("sim")
    plan = dry(tmp_path, LUMPED + LLM, "--engine", "vllm")
    assert plan["worlds"][0]["engine"] == "vllm"


def test_an_engine_that_a_world_cannot_have():
    study = parse_study(LUMPED + LLM + 'engine = "vllm"\ntensor_parallel = 2\n')
    with pytest.raises(InputError, match="tensor_parallel: needs engine = 'vllm', got 2"):
        llm_runs.with_engine(study, "torch")

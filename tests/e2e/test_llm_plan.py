"""`banditrft llm --dry-run` and `--engine`: said before anything is spent, with or without a hub."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import banditrft
from support.study import LLM, LUMPED

import llm_runs
from banditrft.errors import InputError
from banditrft.runs import world_key
from banditrft.study import parse_study

COMMAND = [str(Path(sys.executable).with_name("banditrft"))]
HUB = '[[llm]]\nname = "hub"\nmodel = "nobody/nothing-0B"\nseeds = 3\ntest_items = 5\n'


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """The hub is out of reach."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


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


def test_a_plan_names_what_is_wrong_in_all_worlds_at_once(tmp_path):
    wrong = LLM.replace("test_items = 8", "test_items = 9999999")
    other = HUB + "\n" + '[[llm]]\nname = "other"\nmodel = "nowhere"\nseeds = 1\n'
    (tmp_path / "study.toml").write_text(LUMPED + wrong + other)
    done = banditrft("llm", "study.toml", "--dry-run", cwd=tmp_path, code=2)
    assert "error: llm[0].test_items: " in done.stderr
    assert "llm[2].model: must be " in done.stderr


def test_a_plan_for_gpus_warns_where_there_is_none(tmp_path):
    (tmp_path / "study.toml").write_text(LUMPED + LLM + 'device = "cuda"\n')
    hidden = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PATH": ""}
    done = subprocess.run(
        [*COMMAND, "llm", "study.toml", "--dry-run"], cwd=tmp_path, env=hidden, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "warning: llm[0].device: no GPU on this machine, got 'cuda'" in done.stdout


def test_a_plan_writes_settings_as_a_study_file_does(tmp_path):
    (tmp_path / "study.toml").write_text(LUMPED + LLM + "lora = { rank = 4 }\n")
    done = banditrft("llm", "study.toml", "--dry-run", cwd=tmp_path)
    line = done.stdout.splitlines()[0].partition(": ")[2]
    assert "lora = { rank = 4 }" in line
    assert 'model = "tiny-qwen2"' in line


def test_a_table_of_difficulties_leaves_nothing_to_sample(tmp_path):
    world = 'model = "tiny-qwen2"\ntask = "arithmetic"\nseeds = 1\n'
    typed = ["--model", "tiny-qwen2", "--task", "arithmetic", "--items", "4", "--samples", "2"]
    banditrft("difficulty", *typed, "--out", "d.json", cwd=tmp_path)
    queries = 'queries = { file = "d.json", count = 1, base_pass_at_1 = [0.0, 1.0] }\n'
    (tmp_path / "study.toml").write_text(LUMPED + "[[llm]]\n" + world + queries)
    done = banditrft("llm", "study.toml", "--dry-run", cwd=tmp_path)
    assert "the first launch samples the base model" not in done.stdout


def test_what_speaks_of_simulated_worlds_says_that_there_is_none(tmp_path):
    simulated = LUMPED.partition("[[sim]]")[0]
    (tmp_path / "study.toml").write_text(simulated + LLM)
    done = banditrft("predict", "study.toml", cwd=tmp_path)
    assert done.stdout.startswith(
        "no simulated world in small. A language model is predicted as the bandit that"
    )
    for command in (
        "banditrft difficulty",
        "banditrft fit",
        "banditrft predict --p0 BASE --learning-rate STEP",
    ):
        assert command in done.stdout


def test_columns_of_the_status_stand_apart(tmp_path):
    name = "a world with quite a long name"
    text = LLM.replace("[[llm]]", f'[[llm]]\nname = "{name}"')
    (tmp_path / "study.toml").write_text(LUMPED + text)
    lines = banditrft("status", "study.toml", cwd=tmp_path).stdout.splitlines()
    (row, *_) = [line for line in lines if line.startswith(name)]
    assert row.startswith(f"{name}  G=1 ")
    assert lines[0].index("condition") == row.index("G=1")

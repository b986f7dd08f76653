"""The GPU presets of both papers: they parse, say what they cost, and every condition runs on a tiny model."""

import re
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner

import llm_runs
from banditrft.claims import CLAIMS
from banditrft.cli import banditrft
from banditrft.cli.common import find_study, preset_text
from banditrft.lint import lint
from banditrft.study import parse_study

pytestmark = pytest.mark.slow(100)

SMALL = {
    "rounds": 2,
    "eval_every": 2,
    "eval_samples": 1,
    "test_every": 2,
    "final_eval_samples": 2,
    "final_test_samples": 1,
    "seeds": 1,
}
HUGGING_FACE = {
    "meta-llama/Llama-3.2-1B-Instruct": "tiny-llama-words",
    "allenai/OLMo-2-0425-1B-Instruct": "tiny-olmo2-words",
    "Qwen/Qwen2.5-1.5B-Instruct": "tiny-qwen2-words",
    "Qwen/Qwen2.5-0.5B-Instruct": "tiny-qwen2-words",
}


def tiny(preset: str, worlds: int):
    """The preset with tiny models, tiny tasks and few rounds, and its first so many worlds; designs as they are."""
    text = preset_text(preset)
    for name, value in SMALL.items():
        text = re.sub(rf"^{name} = .*$", f"{name} = {value}", text, flags=re.MULTILINE)
    for hub, shipped in HUGGING_FACE.items():
        text = text.replace(hub, shipped)
    text = text.replace('task = "gsm8k"', 'task = "tiny-gsm"').replace('task = "math"', 'task = "tiny-math"')
    text = text.replace('engine = "vllm"', 'engine = "torch"').replace('device = "cuda"', 'device = "cpu"')
    text = text.replace('dtype = "bfloat16"', 'dtype = "float32"').replace('"all"', "8")
    text = re.sub(
        r"^queries = \{.*$",
        "queries = {count = 1, base_pass_at_1 = [0.02, 0.98], pool = 8, samples = 8}",
        text,
        flags=re.MULTILINE,
    )
    head, *tables = text.split("[[llm]]\n")
    return parse_study(head + "".join(f"[[llm]]\n{table}" for table in tables[:worlds]), preset)


def one_round_of_many(cell):
    """A condition of hundreds of queries a round takes a minute for each: one round of it, two of the others."""
    if cell.design.batch_size < 512:
        return cell
    return replace(cell, design=cell.design.model_copy(update={"rounds": 1}))


@pytest.mark.parametrize(("preset", "claims"), [("paper-a", "A"), ("paper-b", "B")])
def test_presets_hold_all_claims_of_their_paper_on_six_pairs(preset, claims):
    study = find_study(preset)
    assert set(study.claims) == {claim for claim in CLAIMS if claim.startswith(claims)}
    assert len(study.worlds("llm")) == 6
    assert not any("claims:" in line or "no placebo" in line for line in lint(study))


@pytest.mark.parametrize("preset", ["paper-a", "paper-b"])
@pytest.mark.parametrize("typed", [["lint"], ["llm", "--dry-run"]], ids=["lint", "dry-run"])
def test_presets_are_looked_at_without_hub_or_gpu(preset, typed, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(banditrft, [typed[0], preset, *typed[1:]])
    assert said.exit_code == 0, said.output
    assert "no GPU on this machine" in said.output or torch.cuda.is_available()
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.parametrize("preset", ["paper-a", "paper-b"])
def test_every_condition_runs_on_a_tiny_model(preset, tmp_path):
    study = tiny(preset, worlds=1)
    assert [c.condition for c in study.cells] == [
        c.condition for c in find_study(preset).cells if c.world.name == study.cells[0].world.name
    ]
    study = replace(study, cells=tuple(map(one_round_of_many, study.cells)))
    outcome = llm_runs.run(study, tmp_path, workers=1)
    assert outcome.failed == []
    assert outcome.done == len({c.design for c in study.cells})


@pytest.mark.parametrize("preset", ["paper-a", "paper-b"])
def test_every_pair_has_a_tiny_substitute_that_runs(preset, tmp_path):
    study = tiny(preset, worlds=6)
    first = study.cells[0].condition
    cells = tuple(c for c in study.cells if c.condition == first)
    outcome = llm_runs.run(type(study)(**{**vars(study), "cells": cells}), tmp_path, workers=1)
    assert outcome.failed == []
    assert outcome.done == 6

"""Warnings of `banditrft lint`: said when true, silent otherwise, and numerically right where they carry a number."""

import numpy as np
import pytest

from banditrft.design import Design
from banditrft.lint import lint
from banditrft.study import parse_study
from banditrft.theory.cautions import largest_move, of_design
from sims.learner import TableLearner
from sims.lumped.simulator import Bandit, simulate

WORLDS = {
    "lumped": """
[[sim]]
world = "lumped"
name = "w"
seeds = 4
classes = [{ name = "right", arms = 1, mass = PZERO, reward = 1.0 }, { name = "wrong", arms = 999, mass = QZERO, reward = 0.0 }]
""",
    "contextual": """
[[sim]]
world = "contextual"
name = "w"
seeds = 4
base_pass_at_1 = PZERO
train_items = ITEMS
""",
    "sequence": """
[[sim]]
world = "sequence"
name = "w"
seeds = 4
tokens = 3
base_pass_at_1 = PZERO
""",
    "llm": """
[[llm]]
model = "tiny-qwen2"
name = "w"
queries = {base_pass_at_1 = [PZERO, 0.5]}
""",
    "llm pool": """
[[llm]]
model = "tiny-qwen2"
name = "w"
train_items = ITEMS
""",
}


def warnings(world="lumped", p0=0.3, items=1, **fields):
    values = {"learning_rate": 0.1, "rounds": 20} | fields
    body = "\n".join(f"{k} = {str(v).lower() if isinstance(v, bool) else repr(v)}" for k, v in values.items())
    text = WORLDS[world].replace("PZERO", str(p0)).replace("QZERO", str(1 - p0)).replace("ITEMS", str(items))
    study = f'name = "s"\nseeds = 4\nroot_seed = 1\n{text}\n[[conditions]]\nname = "c"\n{body}\n'
    return " | ".join(lint(parse_study(study, "s.toml")))


def test_adapters_that_vllm_samples_rounded_need_a_correction():
    study = 'name = "s"\nseeds = 4\nroot_seed = 1\n[[llm]]\nmodel = "tiny-qwen2"\nname = "w"\n' + (
        'engine = "vllm"\ndtype = "bfloat16"\nlora = {rank = 4}\nCAP\n[[conditions]]\nname = "c"\n'
        "learning_rate = 1e-5\nrounds = 2\n"
    )
    warned, corrected = (
        lint(parse_study(study.replace("CAP", cap), "s.toml")) for cap in ("", "importance_cap = 2")
    )
    assert [line for line in warned if line not in corrected] == [
        "w, c: importance_cap: none, though vLLM samples from adapters merged and rounded to bfloat16, the "
        "learner trains them unrounded"
    ]


@pytest.mark.parametrize("claim", ["A1", "A5"])
def test_a_claim_that_no_world_shows_is_named(claim):
    design = '[design]\nlearning_rate = 0.1\nrounds = 20\n[[conditions]]\nname = "c"\n'
    head = f'name = "s"\nseeds = 4\nclaims = ["{claim}"]\n{design}'
    places = {name: text.replace("PZERO", "0.3").replace("QZERO", "0.7") for name, text in WORLDS.items()}
    alone = lint(parse_study(head + places["sequence"], "s.toml"))
    assert f"claims: {claim} is not read in a sequence: add a lumped or contextual world or an LLM" in alone
    both = places["sequence"] + places["lumped"].replace('"w"', '"v"')
    found = [line for line in lint(parse_study(head + both, "s.toml")) if f"claims: {claim}" in line]
    assert not [line for line in found if "'w'" in line or "not read" in line]


def test_nothing_to_say():
    assert warnings() == ""
    assert warnings(rollouts=4, signal="grpo") == ""
    assert warnings("contextual", learning_rate=0.003) == ""
    assert warnings("contextual", learning_rate=0.003, items=64, batch_size=32) == ""


@pytest.mark.parametrize(
    ("fields", "start"),
    [
        ({"clip_high": 0.3}, "clip_low, clip_high, dual_clip: inert"),
        ({"world": "llm", "rollouts": 4, "kl_placement": "reward"}, "kl_placement: inert"),
        ({"world": "llm", "skip_equal_groups": True}, "skip_equal_groups: every group of one"),
        ({"world": "llm", "p0": 0.02}, "at a base of 0.02 98.0% of groups carry no signal"),
        ({"world": "llm", "rollouts": 4}, "updates_per_round: one everywhere"),
        ({"kl_estimator": "k2"}, "kl_estimator: inert"),
        ({"kl_coef": 0.1, "kl_estimator": "k1"}, "kl_estimator: 'k1'"),
        ({"rollouts": 8, "replay_window": 8, "signal": "grpo"}, "replay_window: 8 is no longer"),
        ({"rollouts": 8, "replay_window": 4, "signal": "grpo"}, "replay_window: 4 is no longer"),
        ({"baseline_rollouts": 7}, "baseline_rollouts, replay_window: inert"),
        ({"p0": 0.02}, "98.0% of groups carry no signal"),
        ({"batch_size": 8}, "batch_size: the pool holds one query"),
        ({"world": "contextual", "batch_size": 8, "learning_rate": 0.003}, "batch_size: the pool holds one"),
        ({"world": "contextual", "items": 4, "batch_size": 8, "learning_rate": 0.003}, "batch_size: 8 exceeds"),
        ({"world": "llm pool", "items": 4, "batch_size": 8}, "batch_size: 8 exceeds the pool of 4"),
        ({"optimizer": "sgd", "learning_rate": 20.0}, "learning_rate: one success can move"),
        ({"world": "contextual", "optimizer": "sgd", "learning_rate": 2.0}, "learning_rate: one success"),
        ({"reward": "noisy", "false_positive": 0.5, "false_negative": 0.5}, "false_positive, false_negative: right"),
        ({"rounds": 3, }, "eval_every: 5 exceeds rounds = 3"),
    ],
)  # fmt: skip
def test_each_warning(fields, start):
    assert start in warnings(**fields)


def test_what_makes_a_large_step_small():
    """Clipping, matching and a batch are known to the warning about steps."""
    big = {"optimizer": "sgd", "learning_rate": 20.0}
    assert "one success" in warnings(**big)
    assert "one success" not in warnings(**big, grad_clip=0.1)
    assert "one success" not in warnings(**big, rollouts=16)
    grpo = {"optimizer": "sgd", "learning_rate": 20.0, "signal": "grpo", "rollouts": 8, "p0": 0.1}
    assert "one success" in warnings(**grpo)
    assert "one success" not in warnings(**grpo, match_step_size=True)


def test_several_updates_make_the_clip_matter():
    assert list(of_design(Design(learning_rate=1.0, rounds=1, clip_low=0.1, updates_per_round=4))) == []


@pytest.mark.parametrize(
    "fields", [{}, {"rollouts": 4}, {"rollouts": 4, "signal": "grpo"}, {"rollouts": 4, "signal": "rloo"}, {"rollouts": 8, "signal": "grpo", "match_step_size": True}]
)  # fmt: skip
def test_the_stated_step_bounds_what_a_lone_success_does(fields):
    """Simulated first rounds with one success: the log-odds rise by the stated step, or less (eps, ddof)."""
    p0 = 0.05
    d = Design(optimizer="sgd", learning_rate=0.5, rounds=1, **fields)
    paths = simulate(
        Bandit.of((1, 999), [p0, 1 - p0], [1, 0]), TableLearner.from_design(d, p0), root_seed=1, seeds=range(800), rounds=1, eval_rounds=(1,)
    )  # fmt: skip
    p = paths.p_RE[paths.high_RT[:, 0] == 1, 0]
    moved = np.log(p / (1 - p)) - np.log(p0 / (1 - p0))
    stated = largest_move(d, p0, 1.0)
    assert len(moved) > 20
    assert 0.5 * stated < moved.max() < 1.2 * stated


def test_a_claim_without_its_conditions_is_named():
    text = """
name = "one"
seeds = 8
claims = ["A1", "B3", "B4"]
[design]
learning_rate = 0.1
rounds = 40
rollouts = 4
[[conditions]]
name = "G=4"
[[sim]]
world = "contextual"
name = "w"
"""
    assert [line for line in lint(parse_study(text)) if line.startswith("claims:")] == [
        "claims: A1 finds no condition with one rollout, raw reward and adam in 'w'",
        "claims: B3 finds no 3 conditions that differ only in rollouts in 'w'",
        "claims: B4 finds no 5 splits of 256 rollouts in 'w'",
    ]

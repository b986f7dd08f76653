"""What each kind of world refuses, by field and with what it runs instead."""

import json

import pytest

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.worlds import SUPPORTED, ContextualWorld, LLMWorld, WorldSettings, check_supported, parse_world

LLM, SIM = LLMWorld(model="tiny-qwen2", seeds=1), ContextualWorld(seeds=1)
REFUSED: dict[str, tuple[WorldSettings, dict[str, object], str]] = {
    "llm matching of partial credit": (
        LLM,
        {"optimizer": "sgd", "match_step_size": True, "reward": "graded"},
        "match_step_size: partial credit has no known drift to match, got reward = 'graded'",
    ),
    "llm matching on a pool": (
        LLMWorld(model="tiny-qwen2", seeds=1, train_items=4),
        {"optimizer": "sgd", "match_step_size": True},
        "match_step_size: needs one training query of known base Pass@1, not train_items",
    ),
    "llm mean of micro-batches": (
        LLM,
        {"aggregation": "micro-batch-mean"},
        "aggregation: 'micro-batch-mean' needs the world's micro_batch, got none",
    ),
    "sim aggregation": (
        SIM,
        {"aggregation": "sequence-sum"},
        "aggregation: world 'contextual' runs 'token-mean', got 'sequence-sum'",
    ),
    "sim arms": (
        ContextualWorld(seeds=1, arm_noise=0.1),
        {"updates_per_round": 2},
        "updates_per_round: must be 1 where arm_noise > 0, since a second update needs every answer's own "
        "features, got 2",
    ),
}


def design(**fields: object) -> Design:
    return Design(**{"learning_rate": 0.1, "rounds": 1, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize("case", REFUSED)
def test_refusal_says_what_runs(case: str) -> None:
    world, fields, message = REFUSED[case]
    with pytest.raises(InputError) as caught:
        check_supported(design(**fields), world)
    assert str(caught.value) == message


@pytest.mark.parametrize("signal", ["batch-centered", "gpg", "reinforce-plus-plus"])
def test_simulated_worlds_run_more(signal: str) -> None:
    check_supported(design(signal=signal, rollouts=4, optimizer="sgd", match_step_size=True), SIM)
    check_supported(design(optimizer="adamw", weight_decay=0.01, grad_clip=1.0), SIM)
    check_supported(design(reward="noisy", false_positive=0.1, false_negative=0.2), SIM)


def test_both_kinds_refuse_by_the_same_fields_of_a_design() -> None:
    assert set(SUPPORTED) == {"llm", "lumped", "contextual", "sequence"}
    assert all(set(fields) <= set(Design.model_fields) for fields in SUPPORTED.values())


def test_a_value_that_fits_no_alternative_is_one_error() -> None:
    with pytest.raises(InputError) as caught:
        parse_world({"kind": "llm", "model": "tiny-qwen2", "seeds": 1, "train_items": -1}, "llm[0]")
    assert str(caught.value) == (
        "llm[0].train_items: input should be greater than or equal to 1, or input should be 'all', got -1"
    )


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"queries": {"items": [3, 5], "samples": 8}},
        {"queries": {"file": "d.json", "count": 2, "base_pass_at_1": [0.1, 0.6]}},
        {"train_items": "all", "lora": {"rank": 4, "targets": ["q_proj"]}},
    ],
)
def test_settings_that_were_written_read_back(settings: dict[str, object]) -> None:
    world = parse_world({"kind": "llm", "model": "tiny-qwen2", "seeds": 1, **settings})
    assert parse_world(json.loads(json.dumps(world.model_dump(mode="json")))) == world


def test_a_contextual_world_of_features_reads_back() -> None:
    world = ContextualWorld(seeds=1, features="f.npz")
    assert parse_world(json.loads(json.dumps(world.model_dump(mode="json")))) == world


def test_an_unknown_world_is_one_line() -> None:
    with pytest.raises(
        InputError, match=r"^sim\[0\]\.world: known are 'lumped', 'contextual' and 'sequence', got 'flat'$"
    ):
        parse_world({"kind": "sim", "world": "flat"}, "sim[0]")


@pytest.mark.parametrize("value", [1e-38, 0.0099, 0.0, float("inf"), float("nan")])
def test_a_temperature_keeps_logits_in_range(value):
    with pytest.raises(InputError, match="temperature: input should be"):
        parse_world({"kind": "llm", "model": "tiny-qwen2", "seeds": 1, "temperature": value})


@pytest.mark.parametrize(
    "sizes",
    [
        {"transfer": 1e-300, "misalignment": 0.0},
        {"transfer": 0.0, "misalignment": 1e-200},
        {"alignment": 1e-170, "misalignment": 1e-170},
    ],
)
def test_base_weights_have_a_length_that_can_be_squared(sizes):
    with pytest.raises(InputError, match="alignment, misalignment: base weights must be at least 1e-06 long"):
        parse_world({"kind": "sim", "world": "contextual", "seeds": 1, **sizes})

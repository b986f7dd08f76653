"""What each kind of world refuses, by field and with what it runs instead."""

import pytest

from banditrft.design import Design
from banditrft.errors import InputError
from banditrft.worlds import SUPPORTED, ContextualWorld, LLMWorld, WorldSettings, check_supported

LLM, SIM = LLMWorld(model="tiny-qwen2", seeds=1), ContextualWorld(seeds=1)
REFUSED: dict[str, tuple[WorldSettings, dict[str, object], str]] = {
    "llm signal": (
        LLM,
        {"signal": "gpg", "rollouts": 4},
        "signal: world 'tiny-qwen2' runs 'raw' | 'centered' | 'grpo' | 'rloo', got 'gpg'",
    ),
    "llm noise": (
        LLM,
        {"reward": "noisy", "false_positive": 0.1},
        "reward: world 'tiny-qwen2' runs 'zero-one' | 'minus-one-zero' | 'minus-one-one' | 'random', "
        "got 'noisy'",
    ),
    "llm matching": (
        LLM,
        {"optimizer": "sgd", "match_step_size": True},
        "match_step_size: world 'tiny-qwen2' runs False, got True",
    ),
    "llm adamw": (
        LLM,
        {"optimizer": "adamw"},
        "optimizer: world 'tiny-qwen2' runs 'sgd' | 'adam', got 'adamw'",
    ),
    "llm clip": (LLM, {"grad_clip": 1.0}, "grad_clip: world 'tiny-qwen2' runs None, got 1.0"),
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
    assert set(SUPPORTED) == {"llm", "lumped", "contextual"}
    assert all(set(fields) <= set(Design.model_fields) for fields in SUPPORTED.values())

"""What a claim lacks among the conditions of a study."""

import pytest

from banditrft.claims import CLAIMS, lacking
from banditrft.cli.common import find_study
from banditrft.cli.sim import sim_presets
from banditrft.design import Design

STUDIES = [*sim_presets("all"), find_study("paper-a"), find_study("paper-b")]


@pytest.mark.parametrize("study", STUDIES, ids=lambda s: s.name)
def test_presets_lack_nothing(study):
    for world in study.worlds():
        for claim in study.claims:
            assert lacking(CLAIMS[claim], study.designs(world.name)) is None


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        ("A1", "no condition with one rollout, raw reward and adam"),
        ("A2", "no condition with batch_size = 1"),
        ("A4", "not both pairs"),
        ("A5", "no pair of conditions that differ only in rollouts (1 and 4)"),
        ("A7", "no pair that differs only in reward = 'minus-one-zero'"),
        ("B2", "no pair that differs only in signal = 'grpo', baseline_rollouts >= 1"),
        ("B3", "no 3 conditions that differ only in rollouts"),
        ("B4", "no 5 splits of 256 rollouts"),
        ("B7", "no two conditions"),
    ],
)
def test_what_is_missing_is_named(claim, says):
    alone = {"placebo": Design(learning_rate=0.1, rounds=5, reward="random")}
    assert says in lacking(CLAIMS[claim], alone)


def test_one_pair_of_two_is_not_enough():
    raw = Design(learning_rate=0.1, rounds=5, rollouts=4)
    designs = {"raw": raw, "grpo": raw.model_copy(update={"signal": "grpo"})}
    assert "not both pairs" in lacking(CLAIMS["A4"], designs)
    sgd = raw.model_copy(update={"optimizer": "sgd"})
    matched = sgd.model_copy(update={"signal": "grpo", "match_step_size": True})
    assert lacking(CLAIMS["A4"], designs | {"sgd": sgd, "matched": matched}) is None

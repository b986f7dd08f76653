"""Failure signatures are found where simulated truth has them, and are not where it has not."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner
from support import claims as fixtures

import analysis
from analysis.diagnosis import SIGNATURES, diagnose
from analysis.diagnosis.signatures import ratio_of
from analysis.inference.spread import spread_ratio
from banditrft.cli.diagnose import command as diagnose_command
from banditrft.cli.sim import command as sim_command
from banditrft.errors import InputError

STUDY = """
name = "truth"
seeds = 32
[design]
learning_rate = 0.5
optimizer = "sgd"
rounds = 400
eval_every = 20
[[conditions]]
name = "raw"
[[conditions]]
name = "KL"
[conditions.easy]
kl_coef = 0.4
learning_rate = 0.05
rounds = 3200
eval_every = 80
[[conditions]]
name = "B=8"
batch_size = 8
[[sim]]
world = "lumped"
name = "easy"
keep_groups = false
classes = [{name = "correct", arms = 1, mass = 0.1, reward = 1}, {name = "wrong", arms = 99, mass = 0.9, reward = 0}]
[[sim]]
world = "lumped"
name = "hopeless"
keep_groups = false
classes = [{name = "correct", arms = 1, mass = 1e-6, reward = 1}, {name = "wrong", arms = 99, mass = 0.999999, reward = 0}]
[[sim]]
world = "contextual"
name = "hard query"
base_pass_at_1 = 0.005
learning_rate = 0.05
rounds = 800
dimension = 32
test_items = 300
keep_groups = false
[[sim]]
world = "contextual"
name = "no transfer"
transfer = 0.0
base_pass_at_1 = 0.3
learning_rate = 0.05
dimension = 32
test_items = 300
keep_groups = false
"""


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    folder = tmp_path_factory.mktemp("diagnosis")
    (folder / "truth.toml").write_text(STUDY)
    done = CliRunner().invoke(
        sim_command,
        [str(folder / "truth.toml"), "--runs", str(folder), "--workers", "1"],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    return folder / "truth"


@pytest.fixture(scope="module")
def signs(truth):
    return {(s.world, s.condition, s.signature): s for s in diagnose(analysis.load(truth))}


@pytest.mark.parametrize(
    ("world", "condition", "signature"),
    [
        ("easy", "KL", "train plateau below 1"),
        ("hard query", "raw", "test falls while train rises"),
        ("no transfer", "raw", "flat test curve"),
        ("hopeless", "raw", "zero improvement"),
        ("hopeless", "raw", "zero-signal groups"),
        ("easy", "raw | B=8", "batch ceiling"),
    ],
)
def test_a_signature_is_found_where_it_is(signs, world, condition, signature):
    sign = signs[world, condition, signature]
    assert sign.found == "present", sign.sentence


@pytest.mark.parametrize(
    ("world", "condition", "signature"),
    [
        ("easy", "raw", "train plateau below 1"),
        ("easy", "raw", "zero improvement"),
        ("easy", "raw", "zero-signal groups"),
        ("no transfer", "raw", "test falls while train rises"),
        ("hard query", "raw", "flat test curve"),
    ],
)
def test_a_signature_is_excluded_where_it_is_not(signs, world, condition, signature):
    sign = signs[world, condition, signature]
    assert sign.found == "absent", sign.sentence


def test_a_clip_that_never_acts_is_a_note(signs):
    sign = signs["easy", "raw", "inert clip"]
    assert sign.found == "note"
    assert sign.sentence.startswith("One update per round")


def test_what_is_present_comes_first_and_notes_last(signs):
    order = {"present": 0, "absent": 2, "note": 4}
    ranks = [order[s.found] for s in signs.values() if s.found in order]
    assert ranks == sorted(ranks)
    present = [s.evidence["p_adjusted"] for s in signs.values() if s.found == "present"]
    assert present == sorted(present)


def test_margins_are_positive_where_a_signature_is_present(signs):
    for sign in (s for s in signs.values() if "p_adjusted" in s.evidence):
        margins = [part["margin"] for part in sign.evidence["margins"]]
        assert margins
        assert sign.found != "present" or min(margins) > 0
        assert sign.found != "absent" or min(margins) < 0
    sign = signs["easy", "KL", "train plateau below 1"]
    assert f"{0.95 - sign.evidence['level']['estimate']:.3f} below the border of 0.95" in sign.sentence


def test_intervals_stay_inside_what_the_quantity_can_be(signs):
    rates = [s.evidence[k] for s in signs.values() for k in ("level", "base", "share") if k in s.evidence]
    assert all(0 <= v <= 1 for r in rates for v in r.values() if v is not None)


def test_what_is_not_recorded_cannot_be_told(signs):
    sign = signs["easy", "raw", "flat test curve"]
    assert (sign.found, sign.sentence) == (
        "cannot tell",
        "Cannot tell: the records hold no pair of test evaluations.",
    )


def test_all_tests_of_a_call_are_one_family(signs):
    tested = [s for s in signs.values() if "tests" in s.evidence]
    assert {s.evidence["tests"] for s in tested} == {len(tested)}
    assert all(f"Holm over {len(tested)} tests" in s.sentence for s in tested)
    assert all(
        s.evidence["p_adjusted"] >= min(s.evidence["p_present"], s.evidence["p_absent"]) for s in tested
    )


def test_a_single_test_is_called_one():
    records = fixtures.records([], stable("plain"))
    (sign,) = diagnose(records, ["train plateau below 1"])
    assert "one test, not corrected" in sign.sentence


def test_the_command_says_the_same(truth, signs):
    done = CliRunner().invoke(diagnose_command, [str(truth), "--json"], catch_exceptions=False)
    value = json.loads(done.stdout)
    assert value["correction"].startswith("Holm over")
    assert {(s["world"], s["condition"], s["signature"], s["found"]) for s in value["signs"]} == {
        (*key, sign.found) for key, sign in signs.items()
    }


def curves(levels_N, seed=0):
    """Runs that rise from .1 to their own level."""
    rng = np.random.default_rng(seed)
    middle = 12 + 2 * rng.standard_normal(len(levels_N))
    shape = 1 / (1 + np.exp(-0.5 * (fixtures.ROUNDS - middle[:, None])))
    return 0.1 + (np.asarray(levels_N)[:, None] - 0.1) * shape


def stable(condition, level=1.0, spread=0.0, **fields):
    levels = level - spread * np.abs(np.random.default_rng(len(condition)).standard_normal(fixtures.SEEDS))
    train = curves(np.clip(levels, 0, 1))
    return fixtures.cell(fixtures.llm(), condition, fixtures.design(**fields), curve=train, test=0.4)


def found(signature, *cells):
    return {s.condition: s.found for s in diagnose(fixtures.records([], *cells), [signature])}


def test_an_advantage_with_three_times_the_spread_is_told():
    cells = (stable("G=4", rollouts=4, spread=0.02), stable("GRPO", rollouts=4, signal="grpo", spread=0.4))
    assert found("large spread under an advantage", *cells) == {"GRPO | G=4": "present"}


def test_an_advantage_of_the_same_spread_is_not():
    a, b = stable("G=4", rollouts=4, spread=0.1), stable("GRPO", rollouts=4, signal="grpo", spread=0.1)
    assert found("large spread under an advantage", a, b)["GRPO | G=4"] != "present"


def test_an_advantage_without_the_raw_reward_to_compare_cannot_be_told():
    cells = (stable("GRPO", rollouts=4, signal="grpo"), stable("G=1"))
    assert found("large spread under an advantage", *cells) == {"GRPO": "cannot tell"}


def test_a_batch_that_still_helps_is_no_ceiling():
    def cell(size, test):
        return fixtures.cell(fixtures.llm(), f"B={size}", fixtures.design(batch_size=size), test=test)

    assert found("batch ceiling", cell(8, 0.40), cell(32, 0.50)) == {"B=8 | B=32": "absent"}
    assert found("batch ceiling", cell(8, 0.40), cell(32, 0.50), cell(128, 0.501)) == {
        "B=32 | B=128": "present"
    }


def test_one_run_decides_nothing():
    one = fixtures.cell(fixtures.llm(), "one", fixtures.design(), query=[0], test=0.2)
    signs = [
        s
        for s in diagnose(fixtures.records([], one))
        if s.signature not in ("inert clip", "zero-signal groups")
    ]
    assert {s.found for s in signs} == {"cannot tell"}
    assert {s.sentence for s in signs} == {"Cannot tell: one run, and the run is the unit."}


def test_an_unknown_signature_is_named():
    with pytest.raises(InputError, match=r"signature: must be one of .* got 'bad luck'"):
        diagnose(fixtures.records([], stable("plain")), ["bad luck"])


def test_items_of_several_runs_are_no_unit():
    with pytest.raises(InputError, match="items are the unit of a single run, condition 'plain' has 24"):
        diagnose(fixtures.records([], stable("plain")), unit="items")


def test_every_signature_says_what_it_is():
    assert all(len(text) > 20 for text in SIGNATURES.values())


def test_a_ratio_that_three_runs_leave_without_an_interval_says_so():
    few = spread_ratio(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 2.5]), np.zeros(3), margins=(1.5,))
    assert ratio_of(few).endswith(" (no interval)")
    rng = np.random.default_rng(3)
    many = spread_ratio(rng.normal(size=20), rng.normal(size=20), np.zeros(20), margins=(1.5,))
    assert re.fullmatch(r"\d+\.\d\d \[\d+\.\d\d, \d+\.\d\d\]", ratio_of(many))

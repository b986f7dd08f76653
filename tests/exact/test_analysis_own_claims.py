"""A study's own claims, by type: the right word for data whose truth is set by hand."""

from dataclasses import replace

import numpy as np
import pytest
from support.claims import ROUNDS, SEEDS, cell, contextual, design, lumped, notes, placebo, records

from analysis.judging import verdicts
from banditrft.claims import claims_hash, in_force

FAST, SLOW = "G=4", "G=1"
X = (1, 4, 16)


def judge(claims, *cells, ledger=()):
    of = records(ledger, *cells)
    tables = [{"id": f"U{i}", "statement": "as stated", **c} for i, c in enumerate(claims)]
    found = verdicts(replace(of, study={**of.study, "own_claims": tables}))
    return {(v.claim, v.world): v for v in found}


def word(claim, *cells, world="lumped"):
    return judge([claim], *cells)["U0", world].verdict


def learning(middle, slope=0.8):
    """Curves that cross .5 at given rounds, one per seed."""
    at = np.asarray(middle, dtype=np.float64)[:, None]
    return 1 / (1 + np.exp(-slope * (ROUNDS - at)))


def two(ratio):
    rng = np.random.default_rng(0)
    own = 8 * np.exp(0.15 * rng.standard_normal(SEEDS))
    return (
        cell(lumped(), FAST, design(rollouts=4), curve=learning(own)),
        cell(lumped(), SLOW, design(), curve=learning(own * ratio)),
        placebo(lumped()),
    )


@pytest.mark.parametrize(("ratio", "margin", "said"), [(2.2, 1.2, "supported"), (1.0, 1.5, "refuted")])
def test_faster_reads_the_ratio_against_its_margin(ratio, margin, said):
    claim = {"type": "faster", "a": FAST, "b": SLOW, "margin": margin}
    assert word(claim, *two(ratio)) == said


def test_faster_looks_no_further_than_its_horizon():
    claim = {"type": "faster", "a": FAST, "b": SLOW, "margin": 1.0, "horizon": 8}
    part = judge([claim], *two(2.2))["U0", "lumped"].parts[0]
    assert part.counts["horizon"] == 4  # the last evaluation that a second one can confirm
    assert part.verdict == "undecided"


def test_a_placebo_that_is_as_fast_is_no_learning():
    fast, slow, calm = two(2.2)
    claim = {"type": "faster", "a": FAST, "b": SLOW, "margin": 1.2}
    found = judge([claim], fast, slow, replace(calm, train=fast.train))["U0", "lumped"]
    assert {p.id: p.verdict for p in found.parts} == {"faster": "supported", "learns": "undecided"}
    assert found.verdict == found.readings.placebo == "undecided"


def test_conditions_can_be_named_by_their_fields():
    claim = {"type": "faster", "a": {"rollouts": 4}, "b": {"rollouts": 1}, "margin": 1.2}
    found = judge([claim], *two(2.2))["U0", "lumped"]
    assert found.verdict == "supported"
    assert found.parts[0].conditions == (SLOW, FAST)


@pytest.mark.parametrize(
    ("gain", "two_sided", "said"),
    [
        (0.0, False, "supported"),
        (0.05, False, "refuted"),
        (-0.05, False, "undecided"),
        (-0.05, True, "refuted"),
    ],
)
def test_no_better_is_refuted_by_a_gain_and_two_sided_also_by_a_loss(gain, two_sided, said):
    a = cell(contextual(), FAST, design(rollouts=4), test=0.4 + gain)
    b = cell(contextual(), SLOW, design(), test=0.4)
    claim = {"type": "no-better", "a": FAST, "b": SLOW, "margin": 0.02, "two_sided": two_sided}
    assert word(claim, a, b, placebo(contextual()), world="contextual") == said
    assert word(claim, a, b, placebo(contextual(), test=0.5), world="contextual") == "undecided"


@pytest.mark.parametrize(("spread", "said"), [(4.0, "supported"), (0.5, "refuted")])
def test_more_variable_reads_the_area_under_the_curve(spread, said):
    rng = np.random.default_rng(2)
    own = rng.standard_normal((SEEDS, 1))
    curves = [0.5 + 0.02 * s * own + 0.002 * rng.standard_normal((SEEDS, 1)) for s in (spread, 1.0)]
    a, b = (
        cell(lumped(), name, design(rollouts=r), curve=np.broadcast_to(c, (SEEDS, ROUNDS.size)))
        for name, r, c in ((FAST, 4, curves[0]), (SLOW, 1, curves[1]))
    )
    assert word({"type": "more-variable", "a": FAST, "b": SLOW, "margin": 1.0}, a, b) == said


@pytest.mark.parametrize(("end", "margin", "said"), [(0.25, 0.0, "supported"), (0.29, 0.05, "refuted")])
def test_below_base_asks_for_more_than_its_margin(end, margin, said):
    one = cell(contextual(), SLOW, design(), test=end, base=0.3)
    claim = {"type": "below-base", "a": SLOW, "margin": margin}
    assert word(claim, one, placebo(contextual()), world="contextual") == said
    falls = judge([claim], one, placebo(contextual(), test=end))["U0", "contextual"]
    assert falls.readings.base == said
    assert falls.verdict != "supported"


def test_fails_counts_runs_and_compares_them_with_the_other_condition():
    stuck = cell(lumped(), "stuck", design(reward="minus-one-zero"), curve=0.1)
    plain = cell(lumped(), SLOW, design(), curve=learning(np.full(SEEDS, 8.0)))
    claim = {"type": "fails", "a": "stuck", "b": SLOW, "margin": 0.5, "horizon": 40}
    found = judge([claim], stuck, plain, placebo(lumped()))["U0", "lumped"]
    assert found.verdict == "supported"
    assert [p.estimate for p in found.parts] == [1.0, 1.0, 1.0]
    turned = {"type": "fails", "a": SLOW, "margin": 0.5}
    assert word(turned, stuck, plain) == "refuted"


def ladder(tests):
    return [
        cell(contextual(), f"B={b}", design(batch_size=b), test=t)
        for b, t in zip((1, 4, 16, 64, 256), tests, strict=True)
    ]


@pytest.mark.parametrize(
    ("tests", "said"), [((0.3, 0.4, 0.43, 0.4, 0.3), "supported"), ((0.3, 0.33, 0.36, 0.39, 0.42), "refuted")]
)
def test_optimum_is_a_place_and_two_contrasts(tests, said):
    names = [c.condition for c in ladder(tests)]
    claim = {"type": "optimum", "conditions": names, "field": "batch_size", "at": 16, "margin": 2.0}
    calm = placebo(contextual(), of={"batch_size": 16}, test=0.1)
    found = judge([claim], *ladder(tests), calm)["U0", "contextual"]
    assert found.verdict == said
    assert [p.id for p in found.parts] == ["location", "over-few", "over-many", "gains"]


@pytest.mark.parametrize(
    ("step", "two_sided", "said"),
    [
        (0.0, False, "supported"),
        (0.02, False, "refuted"),
        (-0.02, True, "refuted"),
        (-0.02, False, "undecided"),
    ],
)
def test_trend_reads_the_slope_per_doubling(step, two_sided, said):
    cells = ladder([0.4 + 2 * step * i for i in range(5)])
    claim = {
        "type": "trend",
        "conditions": {"signal": "raw"},
        "field": "batch_size",
        "margin": 0.01,
        "two_sided": two_sided,
    }
    assert word(claim, *cells, placebo(contextual(), test=0.1), world="contextual") == said
    assert word(claim, *cells, world="contextual") == "undecided"


@pytest.mark.parametrize(("split", "tested"), [("test", True), ("train", False)])
def test_a_claim_about_the_test_set_needs_no_training_curve(split, tested):
    whole = cell(contextual(), FAST, design(rollouts=4), test=0.2)
    empty = np.empty((SEEDS, 0))
    logs = replace(whole, rounds=np.empty(0), train=empty, train_samples=empty.astype(np.int64))
    claim = {"type": "below-base", "a": FAST, "margin": 0.02, "split": split}
    assert (judge([claim], logs)["U0", "contextual"].p is not None) is tested


def test_a_world_without_a_test_set_is_no_verdict_but_a_reason():
    a, b, _ = two(2.0)
    claim = {"type": "no-better", "a": FAST, "b": SLOW, "margin": 0.02}
    found = judge([claim], a, b)["U0", "lumped"]
    assert found.verdict == "undecided"
    assert found.p is None
    assert "has no test set" in found.summary


def test_primary_claims_share_holms_family_and_secondary_ones_have_their_own():
    cells = two(2.2)
    faster = {"type": "faster", "a": FAST, "b": SLOW, "margin": 1.2}
    found = judge([faster, faster, {**faster, "secondary": True}], *cells, ledger=["A1"])
    primary = [v for v in found.values() if not v.secondary]
    assert {v.family for v in primary} == {3}
    lone = found["U2", "lumped"]
    assert (lone.secondary, lone.family, lone.p_adjusted) == (True, 1, lone.p)


def test_own_claims_enter_the_hash_and_leave_the_ledgers_alone():
    study = {"claims": ["A1", "A5"]}
    own = {"id": "U", "type": "below-base", "statement": "s", "a": "x", "margin": 0.0}
    hashes = {
        claims_hash(in_force(study)),
        claims_hash(in_force({**study, "own_claims": [own]})),
        claims_hash(in_force({**study, "own_claims": [{**own, "margin": 0.01}]})),
    }
    assert len(hashes) == 3
    assert claims_hash(["A1", "A5"]) in hashes


def test_a_claim_that_runs_did_not_know_is_post_hoc():
    of = records(["A1"], *two(2.0))
    own = {"id": "U", "type": "faster", "statement": "s", "a": FAST, "b": SLOW, "margin": 1.2}
    infos = {"r1": {"claims": ["A1"]}, "r2": {"claims": ["A1", "U"]}}
    found = verdicts(replace(of, study={**of.study, "own_claims": [own]}, infos=infos))
    assert [(v.claim, v.post_hoc) for v in found] == [("A1", False), ("U", True)]
    assert "1 of 2 runs were made before" in notes(found[1])[-1]

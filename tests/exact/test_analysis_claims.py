"""Every type of claim on records whose truth is set by hand: what holds is supported, what does not is not."""

from dataclasses import replace

import claims_fixtures as fix
import numpy as np
import pytest
from claims_fixtures import SEEDS, cell, contextual, design, llm, lumped, records

from analysis.judging import verdicts
from banditrft.claims import CLAIMS, claims_hash

GROUP = {"rollouts": 4}
PLACEBO = design(reward="random")
BATCH = {"batch_size": 32, "optimizer": "adamw"}
A, B = contextual("a", "any", 8), contextual("b", "any", 8)


def judge(claim, *cells):
    """World -> verdict."""
    return {v.world: v for v in verdicts(records([claim], *cells))}


def words(claim, *cells):
    return {world: v.verdict for world, v in judge(claim, *cells).items()}


@pytest.mark.parametrize(("gain", "word"), [(0.1, "supported"), (0.0, "refuted"), (0.02, "undecided")])
def test_a2_reads_the_gain_against_two_points(gain, word):
    assert words("A2", cell(contextual(), "G=1", design(), test=0.3 + gain)) == {"contextual": word}


def test_a2_needs_both_grades():
    lone = cell(llm(), "G=1", design(), test=0.4, lenient=0.3)
    found = judge("A2", lone)["tiny-qwen2"]
    assert [p.verdict for p in found.parts] == ["supported", "refuted"]
    assert found.verdict == "refuted"


def test_several_worlds_get_a_verdict_each_and_one_together():
    cells = [
        cell(w, "raw", design(**BATCH), test=0.3 + g, curve=0.5, final=0.9) for w, g in ((A, 0.2), (B, 0.0))
    ]
    found = judge("B1", *cells)
    assert {k: v.verdict for k, v in found.items()} == {
        "a": "supported",
        "b": "refuted",
        "all worlds": "refuted",
    }
    whole = found["all worlds"]
    assert whole.summary == "Supported in a; refuted in b."
    assert len(whole.parts) == 4
    assert all(not p.points for p in whole.parts)
    assert whole.to_dict()["estimate"] is None
    assert whole.family == 3


@pytest.mark.parametrize(("sd", "word"), [(0.08, "supported"), (0.0, "refuted")])
def test_a3_tells_seeds_from_evaluation_noise(sd, word):
    rng = np.random.default_rng(0)
    level = 0.4 + sd * rng.standard_normal((SEEDS, 1))
    curve = rng.binomial(64, np.clip(np.broadcast_to(level, (SEEDS, fix.ROUNDS.size)), 0, 1)) / 64
    noise = np.sqrt(2 * 0.24 / 4000) if sd == 0 else 0.05
    one = cell(lumped(), "G=1", design(), curve=curve)
    ends = {"test": 0.4, "base": 0.4, "noise": noise / 2 if sd == 0 else noise}
    two = cell(contextual(draw=0), "G=1", design(), **ends)
    found = judge("A3", one, two)["simulated"]
    assert found.verdict == word
    assert [p.id for p in found.parts] == ["spread-train", "spread-test"]


def test_a3_takes_no_spread_between_worlds_for_one_between_seeds():
    """Where every seed draws its own queries and test set the spread says nothing of the learner."""
    rng = np.random.default_rng(0)
    curve = 0.4 + 0.1 * rng.standard_normal((SEEDS, 1)) * np.ones(fix.ROUNDS.size)
    one = cell(lumped(), "G=1", design(), curve=curve)
    found = judge("A3", one, cell(contextual(), "G=1", design(), test=0.4, noise=0.05))["simulated"]
    assert [p.id for p in found.parts] == ["spread-train"]
    assert found.verdict == "undecided"
    assert "every seed draws its own world" in found.summary + " ".join(found.notes)


def stability(spread, gain=0.0, base=0.2):
    rng = np.random.default_rng(1)
    shared = rng.standard_normal((SEEDS, 1))
    cells = []
    for optimizer, extra in (("adam", {}), ("sgd", {"match_step_size": True})):
        for name, fields, sd in (("raw", {}, 0.02), ("GRPO", {"signal": "grpo", **extra}, 0.02 * spread)):
            own = 0.5 * shared + np.sqrt(0.75) * rng.standard_normal((SEEDS, 1))
            of = design(optimizer=optimizer, **GROUP, **fields)
            label = f"{name} {optimizer}"
            cells.append(cell(lumped(p=base), label, of, start=base, curve=0.6 + sd * own))
            end = 0.4 + gain * (name == "GRPO")
            cells.append(cell(contextual(base=base), label, of, start=base, test=end))
    return cells


def test_a4_wants_more_spread_and_no_gain():
    assert words("A4", *stability(4.0)) == {"simulated": "supported"}
    assert words("A4", *stability(0.25)) == {"simulated": "refuted"}
    assert words("A4", *stability(4.0, gain=0.1)) == {"simulated": "refuted"}


def test_a4_is_about_queries_above_a_tenth():
    found = judge("A4", *stability(4.0, base=0.05))["simulated"]
    assert found.verdict == "undecided"
    assert found.p is None


def hard(falls, slope=True, reach=1.0):
    worlds = [contextual(f"base {p}", p) for p in (0.02, 0.1, 0.3)]
    ends = [0.3 + f for f in (falls, falls / 2 if slope else falls, 0.0 if slope else falls)]
    return [
        cell(w, "G=1", design(), start=w.base_pass_at_1, test=t, final=reach)
        for w, t in zip(worlds, ends, strict=True)
    ]


def test_a6_wants_learning_a_fall_and_a_dose():
    assert words("A6", *hard(-0.1)) == {"simulated": "supported"}
    assert words("A6", *hard(+0.1)) == {"simulated": "refuted"}
    assert words("A6", *hard(-0.1, slope=False)) == {"simulated": "undecided"}
    assert words("A6", *hard(-0.1, reach=0.5)) == {"simulated": "refuted"}


def test_a6_takes_the_queries_of_a_model_as_doses():
    query = np.repeat([3, 5, 8, 9], 6)
    start = np.select([query == 3, query == 5, query == 8], [0.02, 0.1, 0.3], 0.5)
    end = 0.3 + 0.03 * np.log(start / (1 - start))
    found = judge("A6", cell(llm(), "G=1", design(), query=query, start=start, test=end))["tiny-qwen2"]
    parts = {p.id: p for p in found.parts}
    assert found.verdict == "supported"
    assert (parts["dose"].n, parts["dose"].unit) == (4, "queries")
    assert parts["dose"].estimate == pytest.approx(0.03, abs=0.005)
    assert parts["fall"].n == parts["reach"].n == 6
    assert any("For these 4 queries" in note for note in found.notes)


def failing(late):
    slow = np.where(late <= fix.ROUNDS, 1.0, 0.0)
    quick = np.where(fix.ROUNDS >= 4, 1.0, 0.0)
    return [
        cell(lumped(), "{0, 1}", design(), curve=quick),
        cell(lumped(), "{-1, 0}", design(reward="minus-one-zero"), curve=slow),
        cell(lumped(), "placebo", PLACEBO, curve=0.2),
    ]


def test_a7_has_to_fail_at_both_horizons():
    found = judge("A7", *failing(99))["lumped"]
    assert found.verdict == "supported"
    assert [p.id for p in found.parts] == ["fail-early", "risk-early", "fail-late", "risk-late"]
    assert "round 10" in found.parts[0].label
    assert "round 40" in found.parts[2].label
    assert words("A7", *failing(24)) == {"lumped": "refuted"}  # slow, not failed
    assert {x.estimate for x in found.placebo if "fail" in x.label} == {1.0}


def test_a7_needs_evaluations_by_the_horizon():
    few = [
        replace(c, rounds=c.rounds[::5], train=c.train[:, ::5], train_samples=c.train_samples[:, ::5])
        for c in failing(99)
    ]
    found = judge("A7", *few)["lumped"]
    assert found.summary == "Not tested: fewer than 2 evaluations by the horizon, round 10."


def test_a8_finds_the_one_that_does_not_generalise():
    good = cell(contextual("good"), "G=1", design(), test=0.5)
    flat = cell(contextual("flat"), "G=1", design(), test=0.3)
    stuck = cell(contextual("stuck"), "G=1", design(), test=0.3, final=0.2)
    assert words("A8", good, flat) == {"good": "refuted", "flat": "supported", "all worlds": "supported"}
    assert words("A8", good, stuck) == {"good": "refuted", "stuck": "refuted", "all worlds": "refuted"}
    assert judge("A8", good)["simulated"].p is None


def no_gain(gain, second):
    return [
        cell(A, "plain", design(**BATCH), test=0.5),
        cell(A, "changed", design(**BATCH, **second), test=0.5 + gain),
    ]


def test_b2_is_refuted_by_a_gain_alone():
    grpo = {"signal": "grpo", "baseline_rollouts": 7}
    assert words("B2", *no_gain(0.0, grpo)) == {"a": "supported"}
    assert words("B2", *no_gain(0.1, grpo)) == {"a": "refuted"}
    assert words("B2", *no_gain(-0.1, grpo)) == {"a": "undecided"}
    assert judge("B2", *no_gain(0.0, {"signal": "grpo", "rollouts": 8}))["a"].p is None


def replay(gain, window=8):
    fresh = design(**BATCH, signal="grpo", rollouts=8)
    again = design(**BATCH, signal="grpo", rollouts=1, replay_window=window)
    return [cell(A, "(32, 8, 0)", fresh, test=0.5), cell(A, "(32, 1, 7)", again, test=0.5 + gain)]


def test_b5_is_refuted_on_either_side():
    assert words("B5", *replay(0.0)) == {"a": "supported"}
    assert words("B5", *replay(0.1)) == words("B5", *replay(-0.1)) == {"a": "refuted"}
    part = judge("B5", *replay(-0.1))["a"].parts[0]
    assert part.refuting_level == pytest.approx(1 - (1 - part.level) / 2)
    assert judge("B5", *replay(0.0, window=4))["a"].p is None  # a window that is not the group's size


def trend(slope, field, values):
    return [cell(A, f"{v}", design(**{**BATCH, field: v}), test=0.4 + slope * np.log2(v)) for v in values]


@pytest.mark.parametrize(
    ("claim", "field", "values"), [("B3", "rollouts", (1, 8, 64)), ("B6", "batch_size", (256, 512, 2048))]
)
def test_trends_are_per_doubling(claim, field, values):
    assert words(claim, *trend(0.0, field, values)) == {"a": "supported"}
    assert words(claim, *trend(0.02, field, values)) == {"a": "refuted"}
    assert words(claim, *trend(-0.02, field, values)) == {"a": "undecided"}
    part = judge(claim, *trend(0.02, field, values))["a"].parts[0]
    assert part.estimate == pytest.approx(0.02, abs=0.002)
    assert part.band == pytest.approx((-0.02 / 3, 0.02 / 3))
    assert judge(claim, *trend(0.0, field, values[:2]))["a"].p is None


def optimum(best):
    cells = []
    for k in range(9):
        of = design(batch_size=2**k, rollouts=256 // 2**k, signal="grpo" if k < 8 else "raw")
        cells.append(cell(A, f"{k}", of, test=0.6 - 0.01 * (k - best) ** 2))
    return cells


def test_b4_wants_an_interior_optimum_near_32():
    found = judge("B4", *optimum(5))["a"]
    assert found.verdict == "supported"
    assert found.parts[0].estimate == pytest.approx(32, rel=0.1)
    assert found.parts[0].band == (16.0, 64.0)
    assert len(found.parts[0].conditions) == 9
    assert words("B4", *optimum(8)) == {"a": "refuted"}
    assert words("B4", *optimum(2)) == {"a": "refuted"}


def test_b7_compares_worlds_with_designs():
    def cells(worlds, designs):
        return [
            cell(w, f"d{i}", design(**BATCH, rollouts=1 + i), test=0.3 + a + b)
            for w, a in zip((A, B), (0.0, worlds), strict=True)
            for i, b in enumerate((0.0, designs))
        ]

    assert words("B7", *cells(0.3, 0.05)) == {"simulated": "supported"}
    assert words("B7", *cells(0.05, 0.3)) == {"simulated": "refuted"}
    part = judge("B7", *cells(0.3, 0.1))["simulated"].parts[0]
    assert part.estimate == pytest.approx(0.9, abs=0.03)
    assert [s.label for s in part.secondary] == ["against 'rollouts' alone"]


@pytest.mark.parametrize("claim", [c for c in CLAIMS if c not in ("A1", "A5")])
def test_without_its_conditions_a_claim_is_not_tested(claim):
    for v in verdicts(
        records([claim], cell(contextual(), "placebo", PLACEBO, test=0.3), cell(lumped(), "placebo", PLACEBO))
    ):
        assert (v.verdict, v.p, v.family) == ("undecided", None, 0)
        assert v.summary.startswith("Not tested: ")


@pytest.mark.parametrize("claim", [c for c in CLAIMS if c[0] == "A"])
def test_on_a_model_that_trains_on_a_pool_a_claim_about_one_query_is_not_tested(claim):
    pool = llm().model_copy(update={"train_items": 8})
    found = verdicts(records([claim], cell(pool, "batches", design(**BATCH))))
    assert [(v.verdict, v.p) for v in found] == [("undecided", None)]
    assert found[0].summary.startswith("Not tested: ")


def test_protocols_of_the_published_verdicts_stand():
    assert claims_hash(["A1", "A5"]) == claims_hash(["A5", "A1"]) == "dc1f1be07c20d0d5"

"""Every type of claim on records whose truth is set by hand: what holds is supported, what does not is not."""

from dataclasses import replace

import numpy as np
import pytest
from support import claims as fix
from support.claims import (
    SEEDS,
    cell,
    contextual,
    design,
    labels,
    llm,
    lumped,
    notes,
    placebo,
    records,
)

from analysis.judging import verdicts
from banditrft.claims import CLAIMS, claims_hash
from banditrft.worlds import SequenceWorld

GROUP = {"rollouts": 4}
PLACEBO = design(reward="random")
BATCH = {"batch_size": 32, "optimizer": "adamw"}
A, B = contextual("a", "any", 8), contextual("b", "any", 8)


def judge(claim, *cells):
    """World -> verdict."""
    return {v.world: v for v in verdicts(records([claim], *cells))}


def words(claim, *cells):
    return {world: v.verdict for world, v in judge(claim, *cells).items()}


@pytest.mark.parametrize("claim", CLAIMS)
def test_no_claim_is_passed_over_in_silence(claim):
    """Where no world of a study can show a claim, its verdict says so."""
    world = SequenceWorld(name="sequence", seeds=SEEDS, tokens=3, base_pass_at_1=0.1)
    found = judge(claim, cell(world, "G=1", design()), placebo(world)).values()
    assert found
    if claim in ("A1", "A5"):
        (verdict,) = found
        assert (verdict.verdict, verdict.parts) == ("undecided", ())
        assert "no world of the study is one that the claim reads" in str(verdict.to_dict())


@pytest.mark.parametrize(("gain", "word"), [(0.1, "supported"), (0.0, "refuted"), (0.02, "undecided")])
def test_a2_reads_the_gain_against_two_points(gain, word):
    cells = (cell(contextual(), "G=1", design(), test=0.3 + gain), placebo(contextual()))
    assert words("A2", *cells) == {"contextual": word}


def test_a2_needs_both_grades():
    lone = cell(llm(), "G=1", design(), test=0.4, lenient=0.3)
    found = judge("A2", lone, placebo(llm()))["tiny-qwen2"]
    assert [p.id for p in found.parts] == [
        "gain-test",
        "gain-test-over-random",
        "gain-lenient",
        "gain-lenient-over-random",
    ]
    assert [p.verdict for p in found.parts] == ["supported", "supported", "refuted", "refuted"]
    assert found.verdict == "refuted"


def test_several_worlds_get_a_verdict_each_and_one_together():
    cells = [
        c
        for w, g in ((A, 0.2), (B, 0.0))
        for c in (
            cell(w, "raw", design(**BATCH), test=0.3 + g, curve=0.5, final=0.9),
            placebo(w, of=BATCH, curve=0.5),
        )
    ]
    found = judge("B1", *cells)
    assert {k: v.verdict for k, v in found.items()} == {
        "a": "supported",
        "b": "refuted",
        "all worlds": "refuted",
    }
    whole = found["all worlds"]
    assert whole.summary == "Supported in a; refuted in b."
    assert len(whole.parts) == 8
    assert (whole.derived, found["a"].derived) == (True, False)
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
    assert {p.estimand for p in found.parts} == {"area"}
    assert labels(found.parts[1]) == [
        "the same at round 20 alone",
        "the same at round 40 alone",
    ]


def test_a3_reads_the_test_curve_along_the_run_and_not_its_end():
    """Curves that differ on the way and meet at the end are random curves."""
    rng = np.random.default_rng(4)
    one = cell(lumped(), "G=1", design(), curve=0.4 + 0.1 * rng.standard_normal((SEEDS, 1)))
    two = cell(contextual(draw=0), "G=1", design(), test=0.5, noise=0.008)
    middle = two.test_curve.copy()
    middle[:, 1] += 0.1 * rng.standard_normal(SEEDS)
    found = judge("A3", one, replace(two, test_curve=middle))["simulated"]
    assert found.verdict == "supported"
    end = found.parts[1].secondary[-1]
    assert end.estimate < np.sqrt(2) < found.parts[1].estimate


def test_a3_takes_no_spread_between_worlds_for_one_between_seeds():
    """Where every seed draws its own queries and test set the spread says nothing of the learner."""
    rng = np.random.default_rng(0)
    curve = 0.4 + 0.1 * rng.standard_normal((SEEDS, 1)) * np.ones(fix.ROUNDS.size)
    one = cell(lumped(), "G=1", design(), curve=curve)
    found = judge("A3", one, cell(contextual(), "G=1", design(), test=0.4, noise=0.05))["simulated"]
    assert [p.id for p in found.parts] == ["spread-train"]
    assert found.verdict == "undecided"
    assert "every seed draws its own world" in found.summary + " ".join(notes(found))


def stability(spread, fall=None, gain=0.0, base=0.2, learned=True):
    """Raw and GRPO under both optimisers: steps to .8 that differ in height, and falls at the end of some runs.

    Args:
        spread: How much further GRPO's runs stand apart, on train at equal progress and on test.
        fall: How far each of GRPO's runs falls after its maximum; None is not at all, for raw never.
        gain: What GRPO ends above raw on the test set.
        base: Base Pass@1 of the query.
        learned: Whether both end above the placebo on the test set.
    """
    rng = np.random.default_rng(1)
    shared = rng.standard_normal((SEEDS, 1))
    shape = np.clip((fix.ROUNDS - 8) / 12, 0, 1)
    cells = []
    for optimizer, extra in (("adam", {}), ("sgd", {"match_step_size": True})):
        for name, fields, sd in (("raw", {}, 0.02), ("GRPO", {"signal": "grpo", **extra}, 0.02 * spread)):
            own = 0.5 * shared + np.sqrt(0.75) * rng.standard_normal((SEEDS, 1))
            curve = base + (0.6 + sd * own) * shape + 0.005 * rng.standard_normal((SEEDS, shape.size))
            if fall and name == "GRPO":
                curve[:, 7:] -= fall
            of = design(optimizer=optimizer, **GROUP, **fields)
            label = f"{name} {optimizer}"
            cells.append(cell(lumped(p=base), label, of, start=base, curve=curve))
            end = 0.4 + gain * (name == "GRPO") + 0.2 * sd * own[:, 0]
            cells.append(cell(contextual(base=base, draw=0), label, of, start=base, test=end))
    return [*cells, placebo(contextual(base=base, draw=0), of=GROUP, test=0.3 if learned else 0.5)]


def test_a4_wants_falls_more_spread_and_no_gain():
    found = judge("A4", *stability(4.0, fall=0.2))["simulated"]
    assert found.verdict == "supported"
    assert [p.id for p in found.parts] == [
        "drawdown-adam",
        "falls-adam",
        "progress-adam",
        "drawdown-matched",
        "falls-matched",
        "progress-matched",
        "test-curves",
        "no-gain",
        "gains",
    ]
    assert words("A4", *stability(0.25, fall=0.2)) == {"simulated": "refuted"}
    assert words("A4", *stability(4.0, fall=0.2, gain=0.1)) == {"simulated": "refuted"}


def test_a4_in_a_world_whose_runs_never_fall_is_undecided_on_that_part():
    found = judge("A4", *stability(4.0))["simulated"]
    assert found.verdict == "undecided"
    parts = {p.id: p for p in found.parts}
    assert (parts["falls-adam"].verdict, parts["drawdown-adam"].needs) == ("undecided", "falls-adam")
    assert parts["progress-adam"].verdict == "supported"


def test_a4_where_nothing_is_learned_does_not_say_that_nothing_is_gained():
    found = judge("A4", *stability(4.0, fall=0.2, learned=False))["simulated"]
    assert found.verdict == "undecided"
    assert {p.id: p.verdict for p in found.parts}["no-gain"] == "supported"
    assert found.readings.placebo == "undecided"


def test_a4_reads_no_spread_of_test_curves_over_worlds():
    cells = [replace(c, world=contextual(base=0.2)) if c.has_test else c for c in stability(4.0, fall=0.2)]
    found = judge("A4", *cells)["simulated"]
    assert "test-curves" not in {p.id for p in found.parts}
    assert found.verdict == "undecided"


def test_a4_is_about_queries_above_a_tenth():
    found = judge("A4", *stability(4.0, base=0.05))["simulated"]
    assert found.verdict == "undecided"
    assert found.p is None


def hard(falls, slope=True, reach=1.0, drift=(0.0, 0.0, 0.0)):
    worlds = [contextual(f"base {p}", p) for p in (0.02, 0.1, 0.3)]
    ends = [0.3 + f for f in (falls, falls / 2 if slope else falls, 0.0 if slope else falls)]
    return [
        c
        for w, t, d in zip(worlds, ends, drift, strict=True)
        for c in (
            cell(w, "G=1", design(), start=w.base_pass_at_1, test=t, final=reach),
            placebo(w, start=w.base_pass_at_1, test=0.3 + d),
        )
    ]


def test_a6_wants_learning_a_fall_and_a_dose():
    assert words("A6", *hard(-0.1)) == {"simulated": "supported"}
    assert words("A6", *hard(+0.1)) == {"simulated": "refuted"}
    assert words("A6", *hard(-0.1, slope=False)) == {"simulated": "undecided"}
    assert words("A6", *hard(-0.1, reach=0.5)) == {"simulated": "refuted"}


def test_a6_takes_no_drift_for_forgetting():
    """The placebo falls as far: the fall needs no information in the reward."""
    found = judge("A6", *hard(-0.1, drift=(-0.1, -0.05, 0.0)))["simulated"]
    assert found.verdict != "supported"
    assert (found.readings.base, found.readings.placebo) == ("supported", "undecided")


def test_a6_takes_the_queries_of_a_model_as_doses():
    query = np.repeat([3, 5, 8, 9], 6)
    start = np.select([query == 3, query == 5, query == 8], [0.02, 0.1, 0.3], 0.5)
    end = 0.3 + 0.03 * np.log(start / (1 - start))
    shape = {"query": query, "start": start}
    cells = (cell(llm(), "G=1", design(), test=end, **shape), placebo(llm(), **shape))
    found = judge("A6", *cells)["tiny-qwen2"]
    parts = {p.id: p for p in found.parts}
    assert found.verdict == "supported"
    assert (parts["dose"].n, parts["dose"].units) == (4, "queries")
    assert parts["dose"].estimate == pytest.approx(0.03, abs=0.005)
    assert parts["fall"].n == parts["reach"].n == 6
    assert any("For these 4 queries" in note for note in notes(found))


def failing(late):
    slow = np.where(late <= fix.ROUNDS, 1.0, 0.0)
    quick = np.where(fix.ROUNDS >= 4, 1.0, 0.0)
    return [
        cell(lumped(), "{0, 1}", design(), curve=quick),
        cell(lumped(), "{-1, 0}", design(reward="minus-one-zero"), curve=slow),
        cell(lumped(), "placebo", PLACEBO, curve=0.2),
    ]


def test_a7_is_decided_by_the_papers_horizon_and_says_slow_or_failed():
    found = judge("A7", *failing(99))["lumped"]
    assert (found.verdict, found.outcome) == ("supported", "failed")
    assert (found.readings.papers, found.readings.ours) == ("supported", "supported")
    assert [p.id for p in found.parts] == ["fail-early", "risk-early", "learns"]
    assert found.parts[0].setting.horizon == 10
    assert [p.id for p in found.stricter] == ["fail-late", "risk-late"]
    assert found.stricter[0].setting.horizon == 40
    slow = judge("A7", *failing(24))["lumped"]
    assert (slow.verdict, slow.readings.ours, slow.outcome) == ("supported", "refuted", "slow")
    assert {x.estimate for x in found.placebo if x.reading == "failures"} == {1.0}


def test_a7_blames_no_reward_where_the_other_one_only_drifts():
    """{0, 1} reaches the threshold, and so does its placebo, as early: something else makes {-1, 0} fail."""
    plain, changed, other = failing(99)
    found = judge("A7", plain, changed, replace(other, train=plain.train))["lumped"]
    assert found.verdict == "undecided"
    assert {p.id: p.verdict for p in found.parts}["risk-early"] == "supported"


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
    calm = [placebo(contextual(n)) for n in ("good", "flat", "stuck")]
    assert words("A8", good, flat, *calm[:2]) == {
        "good": "refuted",
        "flat": "supported",
        "all worlds": "supported",
    }
    two = (good, stuck, calm[0], calm[2])
    assert words("A8", *two) == {"good": "refuted", "stuck": "refuted", "all worlds": "refuted"}
    assert judge("A8", good)["simulated"].p is None


def no_gain(gain, second, learned=True):
    return [
        cell(A, "plain", design(**BATCH), test=0.5),
        cell(A, "changed", design(**BATCH, **second), test=0.5 + gain),
        placebo(A, of=BATCH, test=0.3 if learned else 0.6),
    ]


GRPO = {"signal": "grpo", "baseline_rollouts": 7}


@pytest.mark.parametrize(
    ("gain", "papers", "ours"),
    [
        (0.0, "supported", "supported"),
        (0.05, "supported", "refuted"),  # little to the paper, not to us
        (0.15, "refuted", "refuted"),
        (-0.15, "undecided", "undecided"),  # a loss is no gain beyond the margin
    ],
)
def test_b2_is_decided_by_the_papers_margin_and_ours_stands_beside(gain, papers, ours):
    found = judge("B2", *no_gain(gain, GRPO))["a"]
    assert (found.readings.papers, found.readings.ours) == (papers, ours)
    assert found.verdict == papers
    assert (found.parts[0].band, found.stricter[0].band) == ((-0.1, 0.1), (-0.02, 0.02))


def test_b2_needs_conditions_that_differ_in_this_alone():
    assert judge("B2", *no_gain(0.0, {"signal": "grpo", "rollouts": 8}))["a"].p is None


def replay(gain, window=8):
    fresh = design(**BATCH, signal="grpo", rollouts=8)
    again = design(**BATCH, signal="grpo", rollouts=1, replay_window=window)
    return [
        cell(A, "(32, 8, 0)", fresh, test=0.5),
        cell(A, "(32, 1, 7)", again, test=0.5 + gain),
        placebo(A, of=BATCH),
    ]


def test_b5_is_refuted_on_either_side():
    assert words("B5", *replay(0.0)) == {"a": "supported"}
    assert words("B5", *replay(0.1)) == words("B5", *replay(-0.1)) == {"a": "refuted"}
    part = judge("B5", *replay(-0.1))["a"].parts[0]
    assert part.refuting_level == pytest.approx(1 - (1 - part.level) / 2)
    assert judge("B5", *replay(0.0, window=4))["a"].p is None  # a window that is not the group's size


def trend(slope, field, values):
    cells = [cell(A, f"{v}", design(**{**BATCH, field: v}), test=0.5 + slope * np.log2(v)) for v in values]
    return [*cells, placebo(A, of=BATCH, test=0.0)]


@pytest.mark.parametrize(
    ("claim", "field", "values", "margin"),
    [("B3", "rollouts", (1, 8, 64), 0.02), ("B6", "batch_size", (256, 512, 2048), 0.05)],
)
def test_trends_are_per_doubling(claim, field, values, margin):
    assert words(claim, *trend(0.0, field, values)) == {"a": "supported"}
    assert words(claim, *trend(0.03, field, values)) == {"a": "refuted"}
    assert words(claim, *trend(-0.03, field, values)) == {"a": "undecided"}
    part = judge(claim, *trend(0.03, field, values))["a"].parts[0]
    assert part.estimate == pytest.approx(0.03, abs=0.002)
    assert part.band == pytest.approx((-margin / 3, margin / 3))
    assert judge(claim, *trend(0.0, field, values[:2]))["a"].p is None


def test_b6_reads_two_points_beside():
    found = judge("B6", *trend(0.01, "batch_size", (256, 512, 2048)))["a"]
    assert (found.readings.papers, found.readings.ours) == ("supported", "refuted")


def optimum(best):
    cells = [placebo(A, of={"batch_size": 32, "rollouts": 8}, test=0.0)]
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
            *(
                cell(w, f"d{i}", design(**BATCH, rollouts=1 + i), test=0.3 + a + b)
                for w, a in zip((A, B), (0.0, worlds), strict=True)
                for i, b in enumerate((0.0, designs))
            ),
            *(placebo(w, of=BATCH) for w in (A, B)),
        ]

    assert words("B7", *cells(0.3, 0.05)) == {"simulated": "supported"}
    assert words("B7", *cells(0.05, 0.3)) == {"simulated": "refuted"}
    part = judge("B7", *cells(0.3, 0.1))["simulated"].parts[0]
    assert part.estimate == pytest.approx(0.9, abs=0.03)
    assert labels(part) == ["against 'rollouts' alone"]


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
    assert claims_hash(["A1", "A5"]) == claims_hash(["A5", "A1"]) == "9336d6dac0ab7066"


def test_conditions_without_a_seed_in_common_are_not_tested_and_say_why():
    """They used to end the whole report."""
    one, four = cell(lumped(), "G=1", design()), cell(lumped(), "G=4", design(rollouts=4))
    found = judge("A5", one, replace(four, seed=four.seed + SEEDS))["simulated"]
    assert (found.verdict, found.p) == ("undecided", None)
    assert found.summary == "Not tested: conditions: 'G=1' and 'G=4' share no (query, seed)."

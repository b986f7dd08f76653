"""Optima and trends whose curve does not fit: which reading decides, what stands beside it, what is noted."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from support.claims import SEEDS, cell, contextual, design, labels, notes, placebo, records, words

from analysis import wording
from analysis.claims.optimum import location
from analysis.judging import verdicts

BATCH = {"batch_size": 32, "optimizer": "adamw"}
WORLD = contextual("a", "any", 8)
SIZES = tuple(2**k for k in range(9))


def judge(claim, *cells):
    shape = {**BATCH, "rollouts": 8} if claim == "B4" else BATCH
    calm = placebo(WORLD, of={**shape, "optimizer": cells[0].design.optimizer}, test=0.0)
    return next(v for v in verdicts(records([claim], *cells, calm)) if v.world == "a")


def splits(mean, noise=0.004):
    cells = []
    for k, (size, value) in enumerate(zip(SIZES, mean, strict=True)):
        of = design(batch_size=size, rollouts=256 // size, signal="grpo" if k < 8 else "raw")
        cells.append(cell(WORLD, f"B={size}", of, test=value, noise=noise))
    return cells


def tent(best, slope=0.01):
    """A curve that no quadratic fits: steep on the left of its best place, gentle on the right."""
    k = np.arange(9)
    return 0.6 - slope * np.where(k < best, 3.0 * (best - k), 0.5 * (k - best))


def where(cells):
    return next(p for p in judge("B4", *cells).parts if p.id == "location")


def test_while_a_quadratic_may_fit_it_is_read_together_with_the_set():
    part = where(splits(0.6 - 0.01 * (np.arange(9) - 5) ** 2))
    assert "A quadratic in log2 of batch_size" in words(part)["sentence"]
    assert "does not reject a quadratic at 1%, which does not show that it fits" in words(part)["sentence"]
    assert part.estimate == pytest.approx(32, rel=0.05)
    assert part.counts["lack_of_fit_p"] > 0.01
    assert words(part)["detail"].startswith("Lack of fit of the quadratic: F(6, 18) = ")
    curve, rungs = part.secondary
    assert wording.secondary(curve) == "maximum of a quadratic alone (Fieller)"
    assert wording.secondary(rungs).startswith("best value tried alone")
    assert (rungs.estimate, rungs.interval) == (32.0, (32.0, 32.0))
    assert part.verdict == "supported"


def test_a_quadratic_whose_shape_alone_would_decide_does_not():
    mean = 0.6 - 0.001 * (np.arange(9) - 5) ** 2  # three values at the top are not told apart
    part = where(splits(mean, noise=0.01))
    curve, rungs = part.secondary
    assert curve.interval[0] >= 16
    assert curve.interval[1] <= 64
    assert rungs.interval[1] > 64
    assert part.interval[1] == pytest.approx(rungs.interval[1])
    assert part.verdict == "undecided"


@pytest.mark.parametrize(
    ("best", "word"), [(4, "supported"), (5, "supported"), (6, "supported"), (3, "refuted"), (7, "refuted")]
)
def test_where_it_does_not_the_best_value_tried_is(best, word):
    part = where(splits(tent(best), noise=0.003))
    assert "rejects its fit at 1%." in words(part)["sentence"]
    assert part.counts["lack_of_fit_p"] <= 0.01
    assert (part.estimate, part.interval) == (2.0**best, (2.0**best, 2.0**best))
    assert part.verdict == word
    assert f"The best cell seen is 'B={2**best}'" in words(part)["detail"]
    assert "better than every other value tried, its neighbours among them" in words(part)["detail"]
    assert f"between {2 ** (best - 1)} and {2 ** (best + 1)}." in words(part)["detail"]
    assert ("margin's own end" in words(part)["detail"]) == (best in (4, 6))
    assert labels(part) == ["maximum of a quadratic alone (Fieller)"]


def test_the_quadratic_would_have_said_otherwise():
    cells = splits(tent(3))
    beside = where(cells).secondary[0]
    assert beside.interval[0] > 16  # inside the band that the best value tried lies outside of
    assert judge("B4", *cells).verdict == "refuted"


def test_neighbours_that_are_not_told_apart_are_named():
    mean = tent(5)
    mean[6] = mean[5]
    part = where(splits(mean))
    assert part.interval == (32.0, 64.0)
    assert part.verdict == "supported"
    best, other = ("B=32", "B=64") if part.estimate == 32 else ("B=64", "B=32")
    assert f"'{other}' may be better" in words(part)["detail"]
    assert "is shown not to be the best; the best may be 'B=32', 'B=64'." in words(part)["detail"]
    assert best in words(part)["detail"]


def test_a_flat_curve_has_no_estimate():
    verdict = judge("B4", *splits(np.full(9, 0.5)))
    part = verdict.parts[0]
    assert (part.estimate, part.interval, part.verdict) == (None, (1.0, 256.0), "undecided")
    assert "no estimate, for the curve is flat or its top unknown" in words(part)["detail"]
    assert "The best cell seen is" in words(part)["detail"]
    assert part.secondary[0].estimate is None
    assert "cannot be estimated" in verdict.summary
    json.dumps(asdict(verdict), allow_nan=False)


@pytest.mark.parametrize("noise", [0.004, 0.02, 0.05])
@pytest.mark.parametrize("best", range(1, 8))
def test_word_interval_and_p_agree_whichever_is_read(best, noise):
    for mean in (tent(best), tent(best, 0.002), 0.6 - 0.002 * (np.arange(9) - best) ** 2):
        cells = splits(mean, noise)
        keys = np.stack([np.zeros(SEEDS, dtype=int), np.arange(SEEDS)], axis=1)
        values = np.stack([c.test for c in cells], axis=1)
        measured = location(cells, keys, values, "batch_size", 32.0, 2.0)
        for level in (0.05, 0.01):
            part = measured.part(level, level / 3)
            low, high = part.interval
            assert (part.verdict == "supported") == (low >= 16 and high <= 64)
            assert (part.p_support <= level) == (part.verdict == "supported")
            below, above = part.refuting_interval
            assert (part.p_refute <= level / 3) == (below > 64 or above < 16)


def test_few_runs_ask_the_fit_for_fewer_contrasts_and_say_so():
    cells = splits(0.6 - 0.01 * (np.arange(9) - 5) ** 2)
    rows = np.arange(10)
    keys = np.stack([np.zeros(10, dtype=int), rows], axis=1)
    values = np.stack([c.test[rows] for c in cells], axis=1)
    part = location(cells, keys, values, "batch_size", 32.0, 2.0).part(0.05, 0.05)
    assert "of the first 4 of 6 contrasts only" in words(part)["detail"]
    lone = location(cells, keys[:2], values[:2], "batch_size", 32.0, 2.0).part(0.05, 0.05)
    assert "Lack of fit of the quadratic: not tested, for want of runs." in words(lone)["detail"]
    assert "could not be made" in words(lone)["sentence"]
    assert lone.verdict == "undecided"


def test_of_two_conditions_with_one_batch_size_one_is_read():
    twice = cell(WORLD, "raw too", design(batch_size=256, rollouts=1), test=0.6)
    cells = splits(tent(5))
    part = next(p for p in judge("B4", *cells, twice).parts if p.id == "location")
    assert part.conditions == tuple(c.condition for c in cells)


def rollouts(mean):
    return [
        cell(WORLD, f"G={g}", design(**BATCH, rollouts=g), test=t)
        for g, t in zip((1, 8, 16, 32, 64), mean, strict=True)
    ]


def test_halves_of_a_ladder_stand_beside_its_slope():
    part = judge("B3", *rollouts([0.5, 0.53, 0.53, 0.53, 0.53])).parts[0]
    whole, low, high = part.secondary
    assert wording.secondary(low) == "from 1 to 8, points per three doublings"
    assert wording.secondary(high) == "from 8 to 64, points per three doublings"
    assert (low.estimate, high.estimate) == (pytest.approx(0.03, abs=0.003), pytest.approx(0.0, abs=0.003))
    assert low.estimate + high.estimate == pytest.approx(whole.estimate)
    assert "Lack of fit of the straight line: F(3, 21) = " in words(part)["detail"]


@pytest.mark.parametrize(
    ("mean", "said"),
    [
        ((0.5, 0.528, 0.528, 0.528, 0.528), ["lies inside the margin, but from 1 to 8"]),
        ((0.5, 0.57, 0.57, 0.57, 0.57), ["lies beyond the margin, but from 8 to 64"]),
        ((0.5, 0.5, 0.5, 0.5, 0.5), []),
        ((0.5, 0.53, 0.54, 0.55, 0.56), []),
        ((0.5, 0.47, 0.47, 0.47, 0.47), []),  # a fall is no gain beyond the margin
    ],
)
def test_a_line_that_hides_a_step_is_noted(mean, said):
    found = [n for n in notes(judge("B3", *rollouts(mean))) if "per three doublings" in n]
    assert len(found) == len(said)
    for note, start in zip(found, said, strict=True):
        assert start in note


def test_an_own_trend_in_both_directions_notes_a_fall():
    claim = {
        "id": "U",
        "statement": "as stated",
        "type": "trend",
        "conditions": {"signal": "raw"},
        "field": "rollouts",
        "margin": 0.02 / 3,
        "two_sided": True,
    }
    of = records([], *rollouts((0.5, 0.472, 0.472, 0.472, 0.472)), placebo(WORLD, of=BATCH, test=0.0))
    of.study["own_claims"] = [claim]
    (found,) = verdicts(of)
    assert [n for n in notes(found) if "lies inside the margin, but from 1 to 8" in n]
    assert found.verdict == "supported"

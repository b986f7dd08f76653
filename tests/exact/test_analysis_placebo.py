"""Every claim is read against the placebo: a gain over it, with an interval, that decides nothing."""

import numpy as np
import pytest
from claims_fixtures import SEEDS, cell, contextual, design, lumped, records

from analysis.claims.against_placebo import excess
from analysis.judging import verdicts


def placebo(world, **fields):
    return cell(world, "placebo", design(reward="random"), **fields)


def over(claim, *cells):
    """Readings of one condition against the placebo."""
    (found,) = [v for v in verdicts(records([claim], *cells)) if v.world != "all worlds"]
    return found, [p for p in found.placebo if p.compared is not None]


def test_a_gain_that_the_placebo_shares_is_no_gain_over_it():
    world = contextual()
    verdict, (item,) = over("A2", cell(world, "G=1", design(), test=0.4), placebo(world, test=0.4))
    assert verdict.verdict == "supported"  # as preregistered, over the base policy
    assert item.compared == "G=1"
    assert item.interval[0] < 0 < item.interval[1]
    assert "not told from" in item.sentence


def test_a_gain_of_its_own_is_told_from_the_placebo():
    world = contextual()
    _, (item,) = over("A2", cell(world, "G=1", design(), test=0.4), placebo(world, test=0.3))
    assert item.estimate == pytest.approx(0.1, abs=0.01)
    assert item.interval[0] > 0.05
    assert item.n == SEEDS


def test_without_a_placebo_nothing_is_said():
    assert over("A2", cell(contextual(), "G=1", design(), test=0.4))[1] == []


def test_spreads_are_compared_as_spreads():
    rng = np.random.default_rng(0)
    own = 0.5 + 0.05 * rng.standard_normal((SEEDS, 1)) * np.ones(11)
    calm = 0.5 + 0.005 * rng.standard_normal((SEEDS, 1)) * np.ones(11)
    world = lumped()
    _, items = over("A3", cell(world, "G=1", design(), curve=own), placebo(world, curve=calm))
    (item,) = items
    assert item.kind == "spread"
    assert item.estimate == pytest.approx(10, rel=0.5)
    assert item.interval[0] > 2


def test_a_placebo_of_another_design_says_so():
    world = contextual()
    _, (item,) = over(
        "A2",
        cell(world, "G=1", design(), test=0.4),
        cell(world, "placebo", design(reward="random", rollouts=4), test=0.3),
    )
    assert "differs also in rollouts" in item.sentence


@pytest.mark.parametrize("kind", ["difference", "slope", "location", "fraction", "ratio", "risk", "spread"])
def test_every_kind_of_part_has_a_reading(kind):
    world = contextual()
    cells = (cell(world, "G=1", design(), test=0.4), placebo(world, test=0.3))
    (verdict,) = verdicts(records(["A2"], *cells))
    part = verdict.parts[0]
    moved = type(part)(**{**vars(part), "kind": kind})
    assert len(excess(records(["A2"], *cells), [moved])) == 1

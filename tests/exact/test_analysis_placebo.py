"""Claims are read against the placebo: which one, what it decides, and what stands beside."""

from dataclasses import replace

import numpy as np
import pytest
from support.claims import SEEDS, cell, contextual, design, lumped, notes, records, words

from analysis.claims.placebos import excess
from analysis.judging import verdicts
from analysis.planning.components import component


def placebo(world, **fields):
    return cell(world, "placebo", design(reward="random"), **fields)


def over(claim, *cells):
    """Readings of one condition against the placebo."""
    (found,) = [v for v in verdicts(records([claim], *cells)) if v.world != "all worlds"]
    return found, [p for p in found.placebo if p.compared is not None]


def test_a_gain_that_the_placebo_shares_is_no_learning():
    world = contextual()
    verdict, beside = over("A2", cell(world, "G=1", design(), test=0.4), placebo(world, test=0.4))
    base, other = verdict.parts
    assert (base.comparator, other.comparator) == ("base", "placebo")
    assert (base.verdict, other.verdict) == ("supported", "refuted")  # less than two points over the placebo
    assert (verdict.verdict, verdict.readings.base, verdict.readings.placebo) == (
        "refuted",
        "supported",
        "refuted",
    )
    assert beside == []  # a component says it already


def test_a_gain_of_its_own_is_told_from_the_placebo():
    world = contextual()
    verdict, _ = over("A2", cell(world, "G=1", design(), test=0.4), placebo(world, test=0.3))
    assert verdict.verdict == "supported"
    part = verdict.parts[1]
    assert part.conditions == ("placebo", "G=1")
    assert part.estimate == pytest.approx(0.1, abs=0.01)
    assert part.n == SEEDS


@pytest.mark.parametrize("claim", ["A1", "A2"])
def test_without_a_placebo_the_component_is_missing_and_says_what_to_add(claim):
    world = contextual() if claim == "A2" else lumped()
    tested = {"test": 0.4} if claim == "A2" else {}
    verdict, beside = over(claim, cell(world, "G=1", design(), **tested))
    assert beside == []
    assert verdict.verdict == verdict.readings.placebo == "undecided"
    assert verdict.readings.base == "supported"
    assert any("add a condition with reward = 'random'" in note for note in notes(verdict))


def test_a_placebo_under_another_optimiser_is_none():
    world = contextual()
    other = cell(world, "placebo", design(reward="random", optimizer="sgd"), test=0.3)
    verdict, _ = over("A2", cell(world, "G=1", design(), test=0.4), other)
    assert verdict.verdict == "undecided"


def test_of_several_placebos_the_nearest_of_each_kind_is_read():
    """Two that differ alike are both read: the claim has to exceed every one."""
    world = contextual()
    cells = (
        cell(world, "G=1", design(), test=0.4),
        cell(world, "near", design(reward="random", rate=0.1), test=0.3),
        cell(world, "too", design(reward="random", rate=0.5), test=0.39),
        cell(world, "far", design(reward="random", rollouts=4), test=0.4),
    )
    verdict, _ = over("A2", *cells)
    assert [p.conditions[0] for p in verdict.parts[1:]] == ["near", "too"]
    assert [p.id for p in verdict.parts[1:]] == ["gain-test-over-random", "gain-test-over-random2"]
    assert verdict.verdict == "refuted"


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
    verdict, _ = over(
        "A2",
        cell(world, "G=1", design(), test=0.4),
        cell(world, "placebo", design(reward="random", rollouts=4), test=0.3),
    )
    assert "differs also in rollouts" in words(verdict.parts[1])["sentence"]


def test_a_gate_that_will_not_be_shown_is_planned_as_open_and_not_as_refuted():
    world = contextual("a", "any", 8)
    shape = {"batch_size": 32, "optimizer": "adamw"}
    of = records(
        ["B2"],
        cell(world, "raw", design(**shape), test=0.4),
        cell(world, "GRPO", design(**shape, signal="grpo", baseline_rollouts=7), test=0.4),
        cell(world, "placebo", design(**shape, reward="random"), test=0.5),
    )
    (verdict,) = verdicts(of)
    planned = {p.id: component(of, p) for p in verdict.parts}
    assert planned["no-better"].expects == "supported"
    assert (planned["gains"].expects, planned["gains"].power) == (None, None)


def test_a_placebo_without_a_lenient_grade_leaves_that_reading_open():
    """It used to end the whole report: its p-value was no number."""
    world = contextual()
    bare = replace(placebo(world, test=0.3), test_lenient=np.full(SEEDS, np.nan))
    verdict, _ = over("A2", cell(world, "G=1", design(), test=0.4, lenient=0.5), bare)
    assert verdict.verdict == "undecided"
    assert any("no lenient grade" in note for note in notes(verdict))


def test_a_placebo_yoked_to_another_reward_is_not_the_nearest_and_says_so():
    world = contextual()
    condition = cell(world, "G=1", design(), test=0.4)
    own, others = (design(reward="yoked", **f) for f in ({}, {"yoked_to": "minus-one-zero"}))
    elsewhere = cell(world, "elsewhere", others, test=0.4)
    verdict, _ = over("A2", condition, cell(world, "own", own, test=0.3), elsewhere)
    assert [p.conditions[0] for p in verdict.parts[1:]] == ["own"]
    verdict, _ = over("A2", condition, elsewhere)
    assert "differs also in yoked_to" in words(verdict.parts[1])["sentence"]


def test_a_dose_response_without_its_placebos_runs_is_not_supported():
    """A placebo with too few runs used to drop the comparison and leave the verdict to the others."""
    cells = [
        made
        for p, end in ((0.02, 0.1), (0.04, 0.2), (0.3, 0.4))
        for made in (
            cell(contextual(f"{p}", p), "G=1", design(), start=p, test=end),
            placebo(contextual(f"{p}", p), start=p, final=0.5, test=0.3),
        )
    ]
    assert over("A6", *cells)[0].verdict == "supported"
    fields = ("query", "seed", "start", "train", "train_samples", "final_correct", "final_samples", "test")
    fields += ("test_base", "test_lenient", "test_base_lenient", "test_samples", "test_curve")
    last = cells[-1]
    fewer = replace(
        last, **{f: getattr(last, f)[1:] for f in (*fields, "test_curve_samples")}
    )  # an easy query's placebo
    verdict, _ = over("A6", *cells[:-1], fewer)
    assert verdict.verdict == "undecided"
    assert any("dose-response" in note for note in notes(verdict))


def test_slopes_without_a_kind_of_placebo_in_every_world_are_not_supported():
    learned, flat, other = contextual("one"), contextual("two"), contextual("three")
    cells = [
        cell(learned, "G=1", design(), test=0.4),
        cell(flat, "G=1", design(), test=0.3),
        cell(other, "G=1", design(), test=0.4),
    ]
    kinds = ("random", "yoked", "random")
    worlds = (learned, flat, other)
    placebos = [
        cell(w, "placebo", design(reward=k), final=0.5, test=0.3) for w, k in zip(worlds, kinds, strict=True)
    ]
    found = verdicts(records(["A8"], *cells, *placebos))
    assert all(v.readings.placebo == "undecided" for v in found if v.world in ("two", "all worlds"))
    same = [replace(c, design=design(reward="random")) for c in placebos]
    found = {v.world: v.verdict for v in verdicts(records(["A8"], *cells, *same))}
    assert found["two"] == "supported"


@pytest.mark.parametrize("kind", ["difference", "slope", "location", "fraction", "ratio", "risk", "spread"])
def test_every_kind_of_part_has_a_reading(kind):
    world = contextual()
    cells = (cell(world, "G=1", design(), test=0.4), placebo(world, test=0.3))
    (verdict,) = verdicts(records(["A2"], *cells))
    part = verdict.parts[0]
    moved = type(part)(**{**vars(part), "kind": kind})
    assert len(excess(records(["A2"], *cells), [moved])) == 1

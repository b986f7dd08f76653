"""What a component reads and is called follows from its fields: no meaning hides in its words or its id."""

from dataclasses import replace

import numpy as np
from support.claims import SEEDS, cell, contextual, design, lumped, placebo, records, words

from analysis.judging import verdicts
from analysis.planning.components import component
from analysis.planning.seeds import plan
from analysis.reporting.figures.forest import forests

WORLD = contextual("contextual", "any", 8)
RUNGS = (1, 4, 16)


def study(claim, *cells):
    of = records([], *cells)
    return replace(of, study={**of.study, "own_claims": [{"id": "U", "statement": "as stated", **claim}]})


def judge(claim, *cells):
    (found,) = verdicts(study(claim, *cells))
    return found


def ladder(field, train, test):
    """Conditions along a field: final Pass@1 on the training queries and on the test set, one per rung."""
    noise = 0.003 * np.random.default_rng(0).standard_normal((len(RUNGS), SEEDS))
    return [
        cell(
            WORLD,
            f"{field}={value}",
            design(**{field: value}),
            test=b,
            final=np.clip(np.round(512 * (a + own)) / 512, 0, 1),
        )
        for value, a, b, own in zip(RUNGS, train, test, noise, strict=True)
    ]


def plots(found):
    document = {"verdicts": [found.to_dict()], "predictions": {}}
    return [(f.caption, f.drawing.title) for f in forests(document)]


def test_the_best_value_of_any_field_is_called_by_that_field():
    cells = ladder("rollouts", (0.5, 0.9, 0.5), (0.3, 0.6, 0.3))
    claim = {"type": "optimum", "conditions": [c.condition for c in cells], "field": "rollouts", "at": 4}
    found = judge(claim | {"margin": 2.0}, *cells)
    assert found.parts[0].setting.field == "rollouts"
    assert words(found.parts[0])["label"] == "Best rollouts"
    caption, said = plots(found)[0]
    assert caption == "U: Best rollouts"
    assert "batch" not in said
    assert "queries" not in said


def test_a_fall_below_base_of_a_studys_own_is_not_called_one_on_hard_queries():
    one = cell(WORLD, "plain", design(), test=0.1, base=0.3)
    found = judge({"type": "below-base", "a": "plain", "margin": 0.0}, one)
    assert found.parts[0].setting.base_below is None
    captions = [caption for caption, _ in plots(found)]
    assert captions == ["U: Change of test Pass@1"]


def best(split):
    """The train optimum lies at 4, the test one at an end."""
    cells = ladder("rollouts", (0.5, 0.9, 0.5), (0.3, 0.5, 0.9))
    claim = {"type": "optimum", "conditions": [c.condition for c in cells], "field": "rollouts", "at": 4}
    return study(claim | {"margin": 2.0, "split": split}, *cells, placebo(WORLD, test=0.1))


def test_an_optimum_on_the_training_queries_is_powered_on_their_values():
    for split, expected in (("train", "supported"), ("test", None)):
        of = best(split)
        (found,) = verdicts(of)
        assert found.parts[0].split == split
        assert component(of, found.parts[0]).expects == expected


def test_an_optimum_on_the_training_queries_is_compared_with_the_placebo_on_them():
    for split, other in (("train", "test"), ("test", "train")):
        (found,) = verdicts(best(split))
        compared = [x for x in found.placebo if x.compared]
        assert {x.split for x in compared} == {split}
        assert not any(other in x["sentence"] for x in found.to_dict()["placebo"] if x["compared"])


def test_worlds_are_told_apart_by_name_and_not_by_a_list_of_names():
    """A world whose name holds a comma, and one whose name is part of another's."""
    cells = []
    for name, base in (("a", 0.01), ("a, b", 0.02), ("b", 0.04)):
        world = contextual(name)
        cells += [
            cell(world, "plain", design(), test=base / 2, base=base, start=base),
            placebo(world, test=base),
        ]
    planned = plan(records(["A6"], *cells), {"a": 4, "a, b": 8, "b": 16})
    (found,) = verdicts(records(["A6"], *cells))
    dose = next(p for p in found.parts if p.id == "dose")
    assert dose.worlds == ("a", "a, b", "b")
    assert planned[0].planned == 4


def test_no_words_change_a_number():
    """Components are planned and compared by their fields: other words for them change nothing."""
    of = best("train")
    (found,) = verdicts(of)
    renamed = [replace(p, id=f"x{i}") for i, p in enumerate(found.parts)]
    for part, other in zip(found.parts, renamed, strict=True):
        a, b = component(of, part), component(of, other)
        assert (a.expects, a.assumes) == (b.expects, b.assumes)
        if a.power and b.power:
            assert a.power(6) == b.power(6)


def test_a_lumped_world_is_powered_by_its_own_seeds():
    cells = (cell(lumped(), "G=1", design()), placebo(lumped()))
    assert {p.planned for p in plan(records(["A1"], *cells), {"lumped": 7})} == {7}

"""The methods section says what was done and nothing else."""

import pytest

from analysis.estimands import ESTIMANDS
from analysis.reporting.content.methods import IMPORTED, RUN_HERE, assumptions, methods

TEST = "Exact one-sided bounds."
SWAP = "A permutation log-rank test."


def part(kind, sentence, n=8, **more):
    return {"label": f"a {kind}", "world": "lumped", "kind": kind, "sentence": sentence, "n": n} | {
        "units": "runs",
        "unit": "runs (seed)",
        "two_sided": kind == "ratio",
        "gate": False,
        "secondary": [],
        **more,
    }


def verdict(*parts, claim="A1", secondary=False, p=0.01):
    common = {"claim": claim, "world": "lumped", "p": p, "level": 0.05, "family": 1, "placebo": []}
    return common | {"parts": list(parts), "secondary": secondary}


def document(*verdicts, **more):
    origin = {"runs": 8, "root_seed": 3}
    world = {"name": "lumped", "imported": False, "conditions": {"G=1": 8}, "rounds": {"G=1": 100}}
    band = {"method": "t intervals", "level": 0.95, "theory": None}
    return {
        "provenance": origin,
        "worlds": [world],
        "verdicts": list(verdicts),
        "alpha": 0.05,
        "bands": [band],
        "predictions": {},
        **{name: [] for name in ("summaries", "paths", "components", "fits", "transfer", "diagnosis")},
    } | more


def titles(found):
    return [p["title"] for p in found]


def everything(found):
    return " ".join([*(s for p in found for s in p["text"]), *(i["what"] for p in found for i in p["used"])])


def test_a_test_stands_there_once_with_all_that_used_it():
    found = methods(document(verdict(part("fraction", TEST)), verdict(part("fraction", TEST), claim="A7")))
    (tests,) = (p for p in found if p["title"] == "Tests")
    assert [i["what"] for i in tests["used"]] == [TEST]
    assert tests["used"][0]["where"] == "A1 a fraction (lumped, n = 8); A7 a fraction (lumped, n = 8)"


@pytest.mark.parametrize("gate", [False, True])
def test_a_component_that_others_need_is_explained(gate):
    said = everything(methods(document(verdict(part("difference", TEST, gate=gate)))))
    assert ("what learns nothing shows no difference" in said) is gate


def test_what_was_not_used_is_not_named():
    found = methods(document(verdict(part("fraction", TEST))))
    assert "Times to a threshold" not in titles(found)
    assert "Closed forms" not in titles(found)
    for word in ("Kaplan", "permut", "bootstrap", "Benjamini", "pairs", "intersection"):
        assert word not in everything(found)


def test_one_sided_bounds_and_two_sided_intervals_are_told_apart():
    bounds, both = "both ends at 95% make a two-sided interval of 90%", "Intervals of speed-ups are two-sided"
    lone = everything(methods(document(verdict(part("fraction", TEST)))))
    assert bounds in lone
    assert both not in lone
    said = everything(methods(document(verdict(part("fraction", TEST), part("ratio", SWAP)))))
    assert bounds in said
    assert both in said


@pytest.mark.parametrize("n", [8, 64])
def test_all_relabellings_of_pairs_are_counted(n):
    said = everything(methods(document(verdict(part("ratio", SWAP, n=n)))))
    assert "all relabellings of pairs are counted; nothing is drawn" in said


def test_secondary_claims_are_a_family_of_their_own():
    both = methods(document(verdict(part("fraction", TEST)), verdict(part("fraction", TEST), secondary=True)))
    said = everything(both)
    assert "Holm's procedure keeps the family-wise error at 5% over 1 tested verdict;" in said
    assert "Benjamini and Hochberg's procedure keeps the false discovery rate" in said


def test_without_claims_there_are_no_tests():
    assert titles(methods(document(bands=[]))) == ["Design", "Software"]


def test_fits_and_signs_are_named_where_they_were_made():
    sign = {"world": "lumped", "evidence": {"tests": 7}}
    more = {"fits": [{"world": "tiny"}], "diagnosis": [sign, sign]}
    (found,) = (p for p in methods(document(**more)) if p["title"] == "Further readings")
    assert [(i["what"].split(":")[0], i["where"]) for i in found["used"]] == [
        ("Fits", "tiny"),
        ("Failure signatures", "lumped"),
    ]
    assert "over 7 tests" in found["used"][1]["what"]


def test_assumptions_belong_to_the_kinds_that_were_used():
    own = document(verdict(part("ratio", SWAP), part("ratio", SWAP)))
    assert assumptions(own) == [RUN_HERE, ESTIMANDS["ratio"].assumes]


def test_imported_runs_share_no_random_streams():
    logs = {"name": "logs", "imported": True, "conditions": {"G=1": 8}, "rounds": {"G=1": 100}}
    pairs = verdict(part("difference", TEST, units="pairs"))
    own = document(pairs, worlds=[logs])
    assert assumptions(own)[0] == IMPORTED
    said = everything(methods(own))
    assert "Random streams" not in said
    assert "paired by the order in which they were given" in said
    assert "Random streams" in everything(methods(document(pairs)))

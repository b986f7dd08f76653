"""What the report says beside its numbers: misfit before gains, units of raw points, paths within the margin."""

import pytest

from analysis.curves.paths import PathComparison
from analysis.fits.bandit import BanditFit, ConditionFit, Residual
from analysis.fits.unseen import PredictedQuantity, UnseenConditions
from analysis.reporting.content.further import fitted, predicted, said
from analysis.reporting.figures.forest import Row, of_points, plot
from analysis.reporting.figures.points import values
from analysis.reporting.page import Shown
from analysis.reporting.summary import others
from analysis.reporting.wording import confidence


def fit(*zs, warnings=()):
    """A fit of one condition per list of residuals."""
    conditions = [
        ConditionFit(
            condition=f"c{i}",
            queries=(),
            gain=None,
            known_gain=None,
            transfer=None,
            residuals=tuple(Residual(f"c{i}", float(r), 0.5, 0.5, z) for r, z in enumerate(own)),
            checks=(),
        )
        for i, own in enumerate(zs)
    ]
    return BanditFit("tiny", tuple(conditions), {}, warnings, "The bandit was fitted.")


def test_a_fit_that_misses_its_data_says_so_before_anything_else():
    said = fitted(fit([-4.0, 2.0, 2.0], [-5.0, 3.0, 2.0], [0.1, -1.0, 1.0]))["sentence"]
    assert said.startswith(
        "The model does not fit 2 of 3 conditions: mean squared residuals of 8 to 13, where 1"
    )
    assert "at the first evaluation the runs are 4.0 to 5.0 standard errors below it" in said
    assert said.index("conditional on it") < said.index("The bandit was fitted.")


def test_a_fit_that_holds_says_that_too():
    said = fitted(fit([0.5, -1.0, 1.2]))["sentence"]
    assert said.startswith(
        "The residuals are what the model allows: mean squares of 0.9, where 1 is expected."
    )


def test_a_miss_at_the_start_is_told_only_where_all_miss_alike():
    assert "first evaluation" not in fitted(fit([-4.0, 4.0, 4.0], [4.0, 4.0, 4.0]))["sentence"]
    assert "first evaluation" not in fitted(fit([0.5, 4.0, 4.0]))["sentence"]


def test_warnings_of_a_fit_stand_in_the_summary():
    whole = {name: [] for name in ("summaries", "paths", "components", "diagnosis", "transfer")}
    blocks = others(whole | {"fits": [fitted(fit([0.5], warnings=("query 3: the base lies at the edge",)))]})
    assert "- query 3: the base lies at the edge" in blocks


def row(quantity, predicted, low, high, observed, unchanged, fitted="G=1"):
    inside = low <= observed <= high
    return PredictedQuantity(
        "w", "c", fitted, quantity, predicted, low, high, observed, unchanged, 0.0, inside, 9, ""
    )


def test_predictions_say_how_many_hold_no_change_and_what_closer_counts():
    rows = (
        row("area", 0.9, 0.85, 0.95, 0.91, 0.80),
        row("final", 0.9, 0.85, 0.95, 0.89, 0.86),
        row("rounds", 30.0, 25.0, 35.0, 28.0, 34.0),
        row("seed_sd", 7.0, 4.0, 10.0, 9.0, 9.5),
        row("test", 0.4, 0.3, 0.5, 0.4, 0.39, fitted="G=1, SGD"),
    )
    test = UnseenConditions("w", ("G=1",), rows, (), {}, 1.0, 1.0, "Predicted.")
    told = predicted(test)["sentence"]
    assert told.startswith("Predicted. Of the intervals 4 of 5 also hold the fitted condition's own value")
    assert "(from G=1 3 of 4; from G=1, SGD 1 of 1)" in told
    assert told.endswith("the rounds (3 of 3); with the spread of the rounds it is 3 of 4.")


@pytest.mark.parametrize(
    ("found", "interval", "words"),
    [
        ("same path", (0.001, 0.004), "within the margin, yet not equal"),
        ("same path", (-0.004, -0.001), "within the margin, yet not equal"),
        ("same path", (-0.004, 0.001), "same path"),
        ("another path", (0.03, 0.04), "another path"),
        ("cannot be compared", (None, None), "cannot be compared"),
    ],
)
def test_paths_that_differ_within_the_margin_are_not_called_the_same(found, interval, words):
    one = PathComparison(
        conditions=("a", "b"),
        one_path=True,
        found=found,
        estimate=0.0,
        interval=interval,
        level=0.95,
        p=0.01,
        end=0.0,
        end_interval=interval,
        margin=0.02,
        n=9,
        left_out=0,
        train=(0.2, 0.9),
        sentence="",
    )
    assert said(one) == words


PART = {
    "id": "test-curves",
    "label": "Spread of the area",
    "kind": "spread",
    "world": "lumped",
    "units": "pairs",
    "estimand": "area",
    "comparator": "condition",
    "conditions": ["raw", "GRPO"],
    "estimate": 1.2,
    "interval": [1.1, 1.3],
    "band": [1.0, None],
    "points": {"query": [0, 0], "seed": [0, 1], "value": [-0.04, -0.02]},
}


def test_raw_points_of_a_spread_are_differences_and_not_ratios():
    figure = values("A4, lumped", PART, *of_points(PART))
    assert figure.drawing.title.endswith("mean −3.00 (points, GRPO minus raw).")
    assert "changed over plain" not in figure.drawing.body


@pytest.mark.parametrize(
    ("part", "factor", "axis"),
    [
        ({"kind": "slope", "estimand": "slope", "axis": "per doubling"}, 100.0, "per doubling"),
        ({"kind": "slope", "estimand": "dose", "axis": "per unit"}, 100.0, "per unit"),
        ({"kind": "slope", "estimand": "dose", "units": "queries"}, 100.0, "mean change of a query, points"),
        ({"kind": "share", "estimand": "variance share"}, 100.0, "mean gain of a seed, points"),
        (
            {"kind": "spread", "estimand": "area", "comparator": "noise"},
            1.0,
            "mean train Pass@1 over the rounds",
        ),
    ],
)
def test_raw_points_have_their_own_unit(part, factor, axis):
    known = {"units": "seeds", "comparator": "condition", "split": "train"}
    assert of_points(known | part) == (factor, axis)


def test_a_forest_says_its_unit_to_who_cannot_see_it():
    rows = [Row("lumped", "sim", 0.01, 0.0, 0.02, None, "+1.00 (+0.00, +2.00)")]
    title = plot(rows, "A2: Gain", "points over the base policy", log=False, scale=100.0).drawing.title
    assert title == "A2: Gain, points over the base policy. lumped: +1.00 (+0.00, +2.00)."


def test_what_the_ends_of_an_interval_are_is_said():
    assert confidence({"level": 0.95, "two_sided": False}) == "95% one-sided each"
    assert confidence({"level": 0.975, "two_sided": True}) == "97.5% two-sided"


def test_no_estimate_is_a_dash_and_no_bound_infinity():
    shown = Shown({"estimate": None, "part": {"estimate": None, "interval": [0.0, None]}})
    assert ">–<" in shown("part/estimate", "ratio")
    assert ">∞<" in shown("part/interval/1", "ratio")

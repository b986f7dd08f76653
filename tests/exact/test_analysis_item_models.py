"""Item models that are not the walk, cross-validation, scores and paired comparisons."""

import math

import numpy as np
import polars as pl
import pytest
from support import fits as fixtures

from analysis.fits.contest import (
    CLIP,
    compare,
    contest,
    cross_validate,
    forecast,
    log_loss,
    oracle,
    parameter_rows,
    rows,
    select,
    split,
)
from analysis.fits.item_models import ItemModel, bound_warnings, fit_mean, fit_mixed_logistic
from analysis.fits.items import FAMILIES, MAIN, ablations, average
from analysis.fits.likelihood import maximise_dear, wald
from analysis.fits.panel import Panel, clock, panel_of
from analysis.loading.counts import COUNTS
from banditrft.errors import InputError


def model(name: str, weight: float = 0.0) -> ItemModel:
    return ItemModel(name, "test", "a mean", lambda panel, errors: fit_mean(panel, None, weight))


def table(items: int = 9, entries: int = 4, condition: str = "run") -> pl.DataFrame:
    found = [
        {
            "condition": condition,
            "seed": 0,
            "item": str(i),
            "round": float(2 * r),
            "n": 4,
            "correct": (i + r) % 5,
            "split": "train",
        }
        for i in range(items)
        for r in range(entries)
        if (i, r) != (1, 2)
    ]
    return pl.DataFrame(found, schema=COUNTS)


def test_a_panel_holds_every_cell_and_0_where_nothing_was_measured():
    panel = panel_of(table(), "t")
    assert panel.items == tuple(str(i) for i in range(9))
    assert panel.rounds_E.tolist() == [0, 2, 4, 6]
    assert panel.n_IE[1].tolist() == [4, 4, 0, 4]
    assert panel.correct_IE[2].tolist() == [2, 3, 4, 0]
    assert math.isnan(panel.rates_IE()[1, 2])
    assert panel.times_E.tolist() == [0, 1, 2, 3]


def test_items_of_other_seeds_have_curves_of_their_own():
    twice = pl.concat([table(), table().with_columns(pl.lit(1, pl.Int64).alias("seed"))])
    panel = panel_of(twice, "t")
    assert panel.num_items == 18
    assert panel.items[0] == "0, 0"


def test_time_counts_in_usual_gaps():
    assert clock(np.array([10.0, 12.0, 14.0, 20.0]), np.array([10.0, 22.0])).tolist() == [0, 6]


@pytest.mark.parametrize(("items", "entries"), [(7, 4), (9, 2)])
def test_too_small_a_panel_is_refused(items, entries):
    with pytest.raises(InputError, match="t: item models need at least 8 items and 3 entries"):
        panel_of(table(items, entries), "t")


@pytest.mark.parametrize(("correct", "word"), [(0, "wrong"), (4, "right")])
def test_a_panel_that_says_nothing_is_refused(correct, word):
    same = table().with_columns(pl.lit(correct, pl.Int64).alias("correct"))
    with pytest.raises(InputError, match=f"every answer is {word}"):
        panel_of(same, "t")


PANEL = Panel(("a", "b"), np.arange(4.0), np.full((2, 4), 10), np.array([[0, 2, 4, 6], [10, 10, 10, 10]]))


def test_means_are_fractions_drawn_to_the_population():
    ahead = np.array([4.0, 5.0])
    np.testing.assert_allclose(fit_mean(PANEL).forecast(ahead), [[0.3, 0.3], [1.0, 1.0]])
    np.testing.assert_allclose(fit_mean(PANEL, last=2).forecast(ahead)[:, 0], [0.5, 1.0])
    population = 52 / 80
    np.testing.assert_allclose(
        fit_mean(PANEL, weight=8.0).forecast(ahead)[:, 0],
        [(12 + 8 * population) / 48, (40 + 8 * population) / 48],
    )


def test_an_item_that_missed_the_last_entries_gets_the_population_s_fraction():
    n_IE = np.array([[10, 0], [10, 10]])
    panel = Panel(("a", "b"), np.arange(2.0), n_IE, np.array([[5, 0], [0, 4]]))
    assert fit_mean(panel, last=1).forecast(np.array([2.0]))[:, 0].tolist() == [0.4, 0.4]


def test_the_likelihood_of_a_mean_is_of_all_its_counts():
    from scipy.stats import binom

    by_hand = binom.logpmf(PANEL.correct_IE, 10, np.array([[0.3], [1.0]])).sum()
    assert fit_mean(PANEL).fit.log_likelihood == pytest.approx(by_hand)
    assert math.isnan(fit_mean(PANEL, last=2).fit.log_likelihood)


def test_hierarchical_lines_are_recovered():
    rng = np.random.default_rng(2)
    level, slope = rng.multivariate_normal([-0.5, 0.8], [[2.25, 0.6], [0.6, 0.64]], 400).T
    p_IE = 1 / (1 + np.exp(-(level[:, None] + slope[:, None] * np.linspace(0, 1, 12))))
    found = fit_mixed_logistic(fixtures.panel(p_IE, 8, rng))
    for name, truth in {
        "level": -0.5,
        "slope": 0.8,
        "level_sd": 1.5,
        "slope_sd": 0.8,
        "correlation": 0.5,
    }.items():
        low, high = wald(found.fit, name)
        assert low <= truth <= high, (name, low, high)
    assert found.warnings == ()


@pytest.mark.parametrize("items", [63, 64])
def test_lines_of_few_items_get_no_intervals_and_the_table_says_so(items):
    rng = np.random.default_rng(5)
    panel = fixtures.panel(fixtures.walked(items, 5, rng, shift=0.1), 8, rng)
    family = {"lines": (ItemModel("lines", "test", "lines", lambda p, e: fit_mixed_logistic(p, errors=e)),)}
    (row,) = rows(contest(panel, family))
    level = row["parameters"][0]
    assert (level["low"] is None) == (items < 64)
    assert ("no intervals: below 64 items Wald's miss too often" in row["warnings"]) == (items < 64)


def test_a_walk_gets_no_intervals_and_neither_does_an_average_of_walks():
    rng = np.random.default_rng(6)
    panel = fixtures.panel(fixtures.walked(12, 4, rng), 4, rng)
    one = FAMILIES[MAIN][0]
    for fitted in (one.fit(panel, True), average("both", [one, one], "twice").fit(panel, True)):
        assert fitted.refused.startswith("no intervals")
        assert {(p["low"], p["high"]) for p in parameter_rows(fitted)} == {(None, None)}


def test_a_forecast_of_lines_goes_on_along_them():
    rng = np.random.default_rng(4)
    p_IE = fixtures.walked(200, 16, rng, shift=0.1)
    found = fit_mixed_logistic(fixtures.panel(p_IE, 8, rng).window(0, 10), errors=False)
    assert found.forecast(np.arange(10.0, 16.0)).mean(axis=0) == pytest.approx(
        p_IE[:, 10:].mean(axis=0), abs=0.02
    )


def test_the_loss_of_a_cell_is_per_answer_and_clipped():
    seen = PANEL.window(2, 4)
    found = log_loss(np.array([[0.5, 0.25], [1.0, 0.0]]), seen)
    by_hand = [
        [math.log(2), -0.6 * math.log(0.25) - 0.4 * math.log(0.75)],
        [-math.log1p(-CLIP), -math.log(CLIP)],
    ]
    np.testing.assert_allclose(found, by_hand)


def test_no_forecast_beats_the_truth():
    rng = np.random.default_rng(6)
    p_IE = np.repeat(rng.uniform(0.1, 0.9, (300, 1)), 10, axis=1)
    panel = fixtures.panel(p_IE, 8, rng)
    truth = float(np.nanmean(log_loss(p_IE[:, 5:], panel.window(5, 10))))
    for weight in (0.0, 1.0, 4.0):
        assert forecast(model("m", weight), *split(panel, 5)).mean > truth


def test_settings_are_chosen_by_the_entries_that_are_fitted():
    rng = np.random.default_rng(7)
    panel = fixtures.panel(np.full((60, 6), 0.5), 2, rng)
    models = [model(str(w), w) for w in (0.0, 1000.0)]
    losses = cross_validate(models, panel)
    assert select(models, losses).name == "1000.0"
    assert {len(v) for v in losses.values()} == {3}


def test_the_first_of_equal_settings_wins():
    models = [model("a"), model("b")]
    assert select(models, {"a": (1.0, 2.0), "b": (2.0, 1.0)}).name == "a"


@pytest.mark.parametrize(("entries", "until"), [(2, None), (4, None), (3, 5), (3, 3)])
def test_a_forecast_needs_entries_on_both_sides(entries, until):
    with pytest.raises(InputError, match="entries: must leave 3 or more to fit"):
        split(PANEL, entries, until)


def test_a_comparison_is_the_mean_over_cells_with_items_as_clusters():
    rng = np.random.default_rng(0)
    first, second = rng.random((80, 6)), rng.random((80, 6))
    first[3, 2] = second[3, 2] = np.nan
    found = compare(first, second, rng)
    assert found.difference == pytest.approx(np.nanmean(first - second))
    assert found.low < found.bootstrap_low + 0.02
    assert found.bootstrap_high < found.high + 0.02
    assert found.items == 80


def test_repeating_an_item_s_cells_does_not_narrow_the_interval():
    rng = np.random.default_rng(1)
    gap = rng.standard_normal((30, 1))
    once, often = (compare(np.repeat(gap, k, axis=1), np.zeros((30, k)), rng) for k in (1, 8))
    assert (once.low, once.high) == pytest.approx((often.low, often.high))


def test_a_comparison_of_one_cell_an_item_is_student_s_interval():
    from scipy.stats import ttest_1samp

    gap = np.random.default_rng(2).standard_normal((25, 1))
    found = compare(gap, np.zeros((25, 1)), np.random.default_rng(0))
    interval = ttest_1samp(gap[:, 0], 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize(("items", "ends"), [(1, (None, None)), (63, (None,)), (64, ())])
def test_a_comparison_of_few_items_gives_no_interval_that_would_miss(items, ends):
    gap = np.random.default_rng(3).standard_normal((items, 2))
    found = compare(gap, np.zeros((items, 2)), np.random.default_rng(0))
    assert [found.low, found.bootstrap_low].count(None) == len(ends)
    assert (found.bootstrap_low is None) == (items < 64)


def test_an_average_is_the_mean_of_its_forecasts():
    models = [model("a"), model("b", 8.0)]
    ahead = np.array([4.0])
    both = average("both", models, "mean of a and b").fit(PANEL, False).forecast(ahead)
    np.testing.assert_allclose(
        both, (models[0].fit(PANEL, False).forecast(ahead) + models[1].fit(PANEL, False).forecast(ahead)) / 2
    )


def test_a_contest_scores_every_setting_and_compares_with_the_chosen_one():
    rng = np.random.default_rng(8)
    panel = fixtures.panel(fixtures.walked(40, 8, rng), 8, rng)
    families = {"plain": (model("plain"),), "drawn": (model("little", 1.0), model("much", 100.0))}
    result = contest(panel, families, 5, 7)
    assert result.main == "little"
    assert result.cells == 80
    assert set(result.comparisons) == {"plain", "much"}
    plain = next(row for row in rows(result) if row["model"] == "plain")
    assert plain["comparison"]["difference"] == pytest.approx(
        result.forecasts["little"].mean - result.forecasts["plain"].mean
    )


def test_the_oracle_beats_every_constant_on_what_it_was_fitted_to():
    rng = np.random.default_rng(9)
    later = fixtures.panel(fixtures.walked(40, 6, rng), 8, rng)
    own = later.rates_IE().mean(axis=1, keepdims=True)
    for p_I in (own, 0.9 * own + 0.05, np.full_like(own, 0.5)):
        assert oracle(later) <= float(np.nanmean(log_loss(np.repeat(p_I, 6, axis=1), later)))


def test_a_contest_without_later_entries_scores_nothing():
    rng = np.random.default_rng(8)
    panel = fixtures.panel(fixtures.walked(40, 8, rng), 8, rng)
    result = contest(panel, {"plain": (model("plain"),)})
    assert rows(result)[0]["log_loss"] is None
    assert result.comparisons == {}


def test_a_parameter_at_its_bound_is_said_to_have_no_interval():
    fit = maximise_dear(
        lambda x: float((x[0] + 1) ** 2 + x[1] ** 2),
        [1.0, 1.0],
        ["a", "b"],
        n=10,
        bounds=[(0.0, 5.0), (-5.0, 5.0)],
        unit=[1.0, 1.0],
    )
    assert fit.estimate == pytest.approx([0.0, 0.0], abs=1e-3)
    assert bound_warnings(fit, errors=True) == ("a ends at its bound, 0: no interval",)
    assert wald(fit, "a") == (None, None)
    assert wald(fit, "b")[1] == pytest.approx(1.96 / math.sqrt(2), rel=1e-2)


def test_names_of_models_are_unique_and_the_main_family_is_there():
    names = [m.name for models in FAMILIES.values() for m in models] + list(ablations())
    assert len(names) == len(set(names))
    assert MAIN in FAMILIES

"""Curve models: their equations, fits to counts of known curves, and what is said where data cannot tell."""

import numpy as np
import pytest

from analysis.fits.curve_fit import SEVERAL_RUNS, Curve, fit_curve, held_out
from analysis.fits.curve_table import curve_rows
from analysis.fits.curves import CURVES
from banditrft.errors import InputError

TRUTHS = {
    "constant": [0.4],
    "logistic": [0.1, 4.0],
    "logistic with ceiling": [0.1, 6.0, 0.7],
    "logit in log time": [0.1, 1.0, 0.1],
    "exponential saturation": [0.1, 0.7, 0.3],
    "power law of the error": [0.1, 0.8, 0.2, 1.0],
    "ScaleRL sigmoid": [0.1, 0.8, 0.4, 3.0],
    "bandit flow": [0.1, 40.0],
    "bandit flow with ceiling": [0.1, 60.0, 0.7],
    "normalised bandit flow": [0.1, 8.0],
    "normalised bandit flow with ceiling": [0.1, 12.0, 0.7],
}
TIMES = np.linspace(0.0, 1.0, 41)


def curve(
    name: str, *, answers: int = 4000, seed: int = 0, rounds: float = 200.0
) -> tuple[Curve, np.ndarray]:
    p = CURVES[name].curve(np.array(TRUTHS[name]), TIMES)
    n = np.full(TIMES.size, answers)
    return Curve(name, TIMES * rounds, n, np.random.default_rng(seed).binomial(n, p)), p


def test_every_model_has_a_truth_here():
    assert set(TRUTHS) == set(CURVES)


@pytest.mark.parametrize("name", CURVES)
def test_curves_are_probabilities_within_their_bounds(name):
    model = CURVES[name]
    for start in range(2):
        x = [p.bounds[start] if p.power == 0 else TRUTHS[name][i] for i, p in enumerate(model.parameters)]
        y = model.curve(np.array(x, dtype=float), TIMES)
        assert np.isfinite(y).all()
        assert (y >= -1e-9).all()
        assert (y <= 1 + 1e-9).all()


@pytest.mark.parametrize("name", [n for n in CURVES if n != "constant"])
def test_curves_begin_at_their_base(name):
    x = np.array(TRUTHS[name])
    assert CURVES[name].curve(x, TIMES)[0] == pytest.approx(x[0])


@pytest.mark.parametrize(("name", "power"), [("bandit flow", 2.0), ("normalised bandit flow", 1.5)])
def test_flows_obey_their_equation(name, power):
    x = np.array(TRUTHS[name])
    t = np.linspace(0, 1, 4001)
    y = CURVES[name].curve(x, t)
    np.testing.assert_allclose(np.gradient(y, t)[1:-1], x[1] * (y * (1 - y))[1:-1] ** power, rtol=1e-3)


@pytest.mark.parametrize("name", ["logistic", "bandit flow", "normalised bandit flow"])
def test_a_ceiling_of_1_is_none(name):
    x = np.array(TRUTHS[name])
    free = CURVES[f"{name} with ceiling"].curve(np.append(x, 1.0), TIMES)
    np.testing.assert_allclose(free, CURVES[name].curve(x, TIMES))


@pytest.mark.parametrize("name", CURVES)
def test_curves_are_recovered_from_counts(name):
    seen, p = curve(name)
    found = fit_curve(CURVES[name], seen, profile=False)
    np.testing.assert_allclose(found.predict(seen.rounds_N), p, atol=0.012)


def test_times_come_in_rounds_and_rates_per_round():
    seen, _ = curve("exponential saturation")
    found = fit_curve(CURVES["exponential saturation"], seen)
    assert found.fit["time"] == pytest.approx(0.3 * 200, rel=0.1)
    seen, _ = curve("logistic")
    assert fit_curve(CURVES["logistic"], seen, profile=False).fit["slope"] == pytest.approx(4 / 200, rel=0.1)


def test_profile_intervals_hold_the_truth():
    seen, _ = curve("exponential saturation", answers=400)
    found = fit_curve(CURVES["exponential saturation"], seen)
    for interval, truth in zip(found.intervals, [0.1, 0.7, 0.3 * 200], strict=False):
        assert interval.low < truth < interval.high


def test_a_ceiling_that_the_data_do_not_reach_is_said_not_to_be_identified():
    p = 0.1 + 0.1 * TIMES
    n = np.full(TIMES.size, 50)
    seen = Curve("line", TIMES * 100, n, np.random.default_rng(1).binomial(n, p))
    found = fit_curve(CURVES["exponential saturation"], seen)
    assert any("ceiling" in w or "time" in w for w in found.warnings)


def test_seeds_that_differ_widen_the_intervals():
    rng = np.random.default_rng(3)
    p = np.clip(0.5 + 0.2 * rng.standard_normal((8, 1)), 0.05, 0.95) * np.ones((8, 10))
    rounds, n = np.tile(np.arange(10.0), 8), np.full(80, 64)
    spread = Curve("spread", rounds, n, rng.binomial(64, p).ravel())
    same = Curve("same", rounds, n, rng.binomial(64, np.full(80, 0.5)))
    wide, narrow = (fit_curve(CURVES["constant"], c).intervals[0] for c in (spread, same))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_several_runs_are_warned_of():
    rounds, n = np.tile(np.arange(4.0), 2), np.full(8, 10)
    both = Curve("both", rounds, n, np.array([3, 5, 4, 6, 5, 6, 4, 3]))
    assert SEVERAL_RUNS in fit_curve(CURVES["constant"], both, profile=False).warnings
    assert (
        SEVERAL_RUNS
        not in fit_curve(CURVES["constant"], both.where(np.arange(8) < 4), profile=False).warnings
    )


def test_the_held_out_loss_is_per_answer():
    later = Curve("c", np.array([1.0, 2.0]), np.array([10, 30]), np.array([5, 3]))
    loss, error = held_out(lambda t: np.full(t.shape, 0.25), later)
    assert loss == pytest.approx(-(8 * np.log(0.25) + 32 * np.log(0.75)) / 40)
    assert error == pytest.approx((0.25 + 0.15) / 2)


def test_the_table_forecasts_best_by_the_model_that_made_the_curve():
    seen, _ = curve("exponential saturation")
    names = ("constant", "exponential saturation", "logistic")
    table = curve_rows(seen, [CURVES[n] for n in names], entries=20)
    best = min(table, key=lambda row: row["held_out_log_loss"])
    assert best["model"] == "exponential saturation"
    assert [row["model"] for row in table] == [*names, "mean of the last 5"]


def test_a_model_with_more_parameters_than_rounds_says_so():
    seen = Curve("short", np.arange(3.0), np.full(3, 10), np.array([1, 4, 6]))
    table = curve_rows(seen, [CURVES["power law of the error"], CURVES["constant"]])
    assert table[0]["warnings"] == ["short: 4 parameters need as many rounds, and 2, got 3"]
    assert table[1]["log_likelihood"] is not None


@pytest.mark.parametrize(("correct", "word"), [([0, 0], "wrong"), ([9, 9], "right")])
def test_a_constant_curve_of_one_answer_is_refused(correct, word):
    with pytest.raises(InputError, match=f"every answer is {word}"):
        fit_curve(CURVES["constant"], Curve("c", np.arange(2.0), np.full(2, 9), np.array(correct)))

"""Curve models: their equations, fits to counts of known curves, and what is said where data cannot tell."""

import numpy as np
import pytest

from analysis.fits.curve_fit import Curve, cutoffs, fit_curve, held_out, searched
from analysis.fits.curves import CURVES, EDGE
from analysis.fits.likelihood import Profile, beta_binomial, maximise
from analysis.fits.tables import curve_rows
from banditrft.errors import InputError

pytestmark = pytest.mark.slow(10)

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


def runs(name: str, seeds: int, sd: float, *, rounds: int = 10) -> Curve:
    """Runs at one Pass@1 each, which lasts; their logit varies by `sd`."""
    rng = np.random.default_rng(3)
    p = np.repeat(1 / (1 + np.exp(-sd * rng.standard_normal((seeds, 1)))), rounds, axis=1)
    at, own = np.tile(np.arange(float(rounds)), seeds), np.repeat(np.arange(seeds), rounds)
    return Curve(name, at, np.full(at.size, 64), rng.binomial(64, p).ravel(), own)


def test_seeds_that_differ_widen_the_intervals():
    wide, narrow = (fit_curve(CURVES["constant"], runs("c", 8, sd)).intervals[0] for sd in (0.8, 0.0))
    assert wide.high - wide.low > 4 * (narrow.high - narrow.low)


def test_the_interval_of_a_constant_is_students_over_runs():
    """The runs' own means are all there is: their t interval, to the curvature of the log-odds."""
    from scipy.stats import ttest_1samp

    seen = runs("c", 12, 0.15)
    means = (seen.correct_N / seen.n_N).reshape(12, 10).mean(axis=1)
    wanted = ttest_1samp(means, 0).confidence_interval()
    found = fit_curve(CURVES["constant"], seen).intervals[0]
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=4e-3)


def test_more_evaluations_of_runs_that_stay_apart_do_not_narrow_the_interval():
    few, many = (fit_curve(CURVES["constant"], runs("c", 8, 0.8, rounds=n)).intervals[0] for n in (5, 40))
    assert many.high - many.low > 0.8 * (few.high - few.low)


def test_labels_of_runs_do_not_matter():
    seen = runs("c", 4, 0.5)
    other = Curve("c", seen.rounds_N, seen.n_N, seen.correct_N, 7 - 2 * seen.run_N)
    first, second = (fit_curve(CURVES["logistic"], c).intervals for c in (seen, other))
    assert first[1].low == pytest.approx(second[1].low)


def test_the_interval_of_one_run_is_students_over_its_cells():
    """Cells of very many answers are normal, so a constant's interval is the t interval of their rates."""
    from scipy.stats import ttest_1samp

    p = 0.5 + 0.05 * np.random.default_rng(6).standard_normal(9)
    seen = Curve("c", np.arange(9.0), np.full(9, 10**5), np.rint(p * 10**5).astype(int))
    wanted = ttest_1samp(seen.correct_N / 1e5, 0).confidence_interval()
    found = fit_curve(CURVES["constant"], seen).intervals[0]
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=2e-3)


def test_without_a_cell_to_spare_there_is_no_interval():
    seen = Curve("c", np.arange(4.0), np.full(4, 50), np.array([5, 20, 28, 33]))
    found = fit_curve(CURVES["power law of the error"], seen)
    assert [(i.low, i.high) for i in found.intervals] == [(None, None)] * 5
    assert any("gets no interval" in w for w in found.warnings)


def test_rho_gets_no_interval():
    for seen in (runs("c", 4, 0.5), curve("logistic")[0]):
        found = fit_curve(CURVES["logistic"], seen)
        assert found.fit.names[-1] == "rho"
        assert (found.intervals[-1].low, found.intervals[-1].high) == (None, None)
        assert found.intervals[0].identified


@pytest.mark.parametrize("name", CURVES)
def test_the_loss_is_the_beta_binomials_and_its_gradient_is_right(name):
    rng = np.random.default_rng(8)
    model, x = CURVES[name], np.append(np.array(TRUTHS[name]), 0.03)
    rounds, own = np.tile(np.arange(0.0, 90.0, 10.0), 3), np.repeat(np.arange(3), 9)
    p = model.curve(x[:-1], rounds / 80)
    n = rng.integers(1, 200, p.size)
    seen = Curve(name, rounds, n, rng.binomial(n, p), own)
    loss, found = searched(model, seen)

    def plain(z):
        natural = [q.natural(v) for q, v in zip(loss.wanted, z.tolist(), strict=True)]
        p = np.clip(model.curve(np.array(natural[:-1]), rounds / 80), 1e-6, 1 - 1e-6)
        return -float(beta_binomial(seen.correct_N, seen.n_N, p, natural[-1]).sum())

    z = np.array([q.searched(v) for q, v in zip(loss.wanted, x.tolist(), strict=True)])
    value, slope = loss.with_gradient(z)
    assert value == pytest.approx(plain(z), rel=1e-12)
    moved = [(plain(z + 1e-6 * e) - plain(z - 1e-6 * e)) / 2e-6 for e in np.eye(z.size)]
    assert slope == pytest.approx(moved, rel=1e-4, abs=1e-4 * np.abs(moved).max())
    assert loss.scores(z).sum(axis=0) == pytest.approx(slope)
    other = maximise(plain, [z], found.names, n=n.size, bounds=found.bounds)
    assert found.log_likelihood >= other.log_likelihood - 1e-3


@pytest.mark.parametrize("name", ["logistic", "exponential saturation", "ScaleRL sigmoid"])
def test_an_interval_ends_where_it_stops_to_hold_values(name):
    rng = np.random.default_rng(9)
    rounds, own = np.tile(np.arange(0.0, 90.0, 10.0), 6), np.repeat(np.arange(6), 9)
    p = CURVES[name].curve(np.array(TRUTHS[name]), rounds / 80)
    seen = Curve(name, rounds, np.full(p.size, 32), rng.binomial(32, p), own)
    loss, found = searched(CURVES[name], seen)
    ends = cutoffs(loss, found, 0.95)
    for i, (own_i, q) in enumerate(
        zip(fit_curve(CURVES[name], seen).intervals[:-1], CURVES[name].parameters, strict=True)
    ):
        for limit in (own_i.low, own_i.high):
            end = q.searched(limit / 80.0**q.power)
            reach = end - found.estimate[i]
            profile = Profile(loss, found, q.name)
            assert profile.holds(found.estimate[i] + 0.999 * reach, ends[i])
            if end not in found.bounds[i]:
                assert not profile.holds(found.estimate[i] + 1.001 * reach, ends[i])


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


LARGER = [model for model in CURVES.values() if model.smaller is not None]


@pytest.mark.parametrize("model", LARGER, ids=lambda m: m.name)
@pytest.mark.parametrize("fast", [1.0, 20.0])
def test_a_ceiling_never_fits_worse_than_none(model, fast):
    """Also where the curve is learned within the first rounds, and searches from the usual starts get lost."""
    rng, rounds = np.random.default_rng(3), np.repeat(np.arange(0.0, 401.0, 5.0), 32)
    p = 1 / (1 + np.exp(2.2 - 0.02 * fast * rounds))
    seen = Curve("fast", rounds, np.full(rounds.size, 64), rng.binomial(64, np.minimum(p, 0.995)))
    whole, part, flat = (
        fit_curve(m, seen, profile=False).fit.log_likelihood
        for m in (model, CURVES[str(model.smaller)], CURVES["constant"])
    )
    assert whole >= part - EDGE * seen.answers  # the largest ceiling is 1 - EDGE
    assert part > flat


@pytest.mark.parametrize("name", CURVES)
def test_no_search_ends_below_the_constant(name):
    """Every model holds the constant, or comes as near to it as the data can tell."""
    rounds = np.arange(46.0)
    for early in (0, 3):
        correct = np.zeros(46, np.int64)
        correct[[early, 17, 30]] = 1
        seen = Curve("rare", rounds, np.full(46, 8), correct)
        found = fit_curve(CURVES[name], seen, profile=False).fit.log_likelihood
        assert found >= fit_curve(CURVES["constant"], seen, profile=False).fit.log_likelihood - 0.5

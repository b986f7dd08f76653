"""Along a ladder of conditions: where it is best, whether a curve fits, and the worlds' share of the variance."""

import numpy as np
import pytest
from calibration.laws import LEVEL, SEEDS, SETS, TAIL, covered, held, standard

from analysis.inference import spread as shares
from analysis.inference.ladder import best_rungs, misfit, place, quadratic_argmax

X = np.arange(9.0)
FIELLER = "Fieller's interval of the maximum of a quadratic"
SHARE = "Jackknife of the worlds' share of variance"
BEST = "Set of best conditions"
FIT = "Lack of fit of a polynomial (Hotelling)"
CHOSEN = "Place of a maximum, with a quadratic where it may fit"
MEANS = {
    "one best": -0.1 * (X - 5) ** 2,
    "three ties at the top": -0.1 * np.maximum(np.abs(X - 5) - 1, 0) ** 2,
    "flat": 0 * X,
}
SCALES = {"equal spread": np.ones(9), "spread growing tenfold": np.linspace(0.3, 3.0, 9)}
STEEP = np.array([88.7, 91.4, 92.4, 92.9, 93.1, 93.0, 92.8, 92.6, 91.8])
"""A curve that is no quadratic: best at 4, where a quadratic's maximum lies at 4.8."""


def ladders(rng, n, law, mean, scale=1.0):
    """(n, 9) values of a ladder whose seeds differ in level and at each condition."""
    return mean + 0.5 * (standard(rng, (n, 1), law) + scale * standard(rng, (n, 9), law))


def kept(n, law, mean, scale, sets):
    """How often the least favoured of the best conditions is in the 95% set."""
    rng, inside = np.random.default_rng([n, len(law), int(-10 * mean.min()), 11]), np.zeros(9)
    for _ in range(sets):
        inside += best_rungs(X, ladders(rng, n, law, mean, scale)).members(1 - LEVEL)
    return inside[mean == mean.max()].min() / sets


def misfits(n, law, degree, alpha, sets):
    """How often a polynomial that fits is rejected."""
    rng, mean = np.random.default_rng([n, len(law), degree, 12]), 0.2 * X - 0.05 * X**2 * (degree > 1)
    return sum(misfit(X, ladders(rng, n, law, mean), degree).p <= alpha for _ in range(sets)) / sets


def wrongly_supported(n, sd, sets):
    """How often a band without the best condition, though with the quadratic's maximum, is supported."""
    rng, band, shown = np.random.default_rng([n, int(10 * sd), 13]), (4.5, 6.5), np.zeros(2)
    for _ in range(sets):
        y = STEEP + rng.standard_normal((n, 1)) + sd * rng.standard_normal((n, 9))
        both = place(X, y, band, candidates=101)
        shown += [max(t.p_above(band[0]), t.p_below(band[1])) <= 0.05 for t in (both.read, both.curve)]
    return shown / sets


@pytest.mark.parametrize("mean", MEANS)
def test_the_set_holds_the_best(mean):
    assert kept(8, "normal", MEANS[mean], 1.0, 300) >= LEVEL - 3 * np.sqrt(LEVEL * (1 - LEVEL) / 300)


@pytest.mark.parametrize(("n", "degree"), [(5, 2), (16, 2), (16, 1)])
def test_a_fitting_polynomial_is_seldom_rejected(n, degree):
    assert 0.01 <= misfits(n, "normal", degree, 0.05, 1000) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1000)


def test_the_reading_withstands_a_wrong_curve():
    chosen, curve = wrongly_supported(16, 1.2, 100)
    assert curve > 0.5
    assert chosen <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 100)


@pytest.mark.calibration
@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize(
    ("law", "scale"),
    [("normal", "equal spread"), ("skewed", "equal spread"), ("skewed", "spread growing tenfold")],
)
@pytest.mark.parametrize("n", SEEDS)
def test_set_of_best_conditions(n, law, scale, mean, calibration_results):
    found = calibration_results.add(
        BEST,
        measures=(best_rungs,),
        kind="coverage",
        case=f"{law} values, {scale}, {mean}",
        n=n,
        nominal=LEVEL,
        rate=kept(n, law, MEANS[mean], SCALES[scale], SETS),
        sets=SETS,
        exact=law == "normal",
    )
    assert covered(found)


@pytest.mark.calibration
@pytest.mark.parametrize("alpha", [0.01, 0.05])
@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("law", ["normal", "skewed"])
@pytest.mark.parametrize("n", SEEDS)
def test_lack_of_fit(n, law, degree, alpha, calibration_results):
    found = calibration_results.add(
        FIT,
        measures=(misfit,),
        kind="error",
        case=f"{law} values, polynomial of degree {degree}",
        n=n,
        nominal=alpha,
        rate=misfits(n, law, degree, alpha, 2 * SETS),
        sets=2 * SETS,
        exact=law == "normal",
    )
    assert held(found, slack=0.0 if law == "normal" else 0.03)


@pytest.mark.calibration
@pytest.mark.parametrize("law", ["normal", "skewed"])
@pytest.mark.parametrize("n", SEEDS)
def test_place_where_a_quadratic_fits(n, law, calibration_results):
    rng, inside = np.random.default_rng([n, len(law), 14]), 0
    for _ in range(SETS):
        y = ladders(rng, n, law, MEANS["one best"])
        low, high = place(X, y, (4.0, 6.0), candidates=101).read.interval(TAIL)
        inside += low <= 5.0 <= high
    found = calibration_results.add(
        CHOSEN,
        measures=(place,),
        kind="coverage",
        case=f"{law} values, a quadratic",
        n=n,
        nominal=LEVEL,
        rate=inside / SETS,
        sets=SETS,
        exact=law == "normal",
    )
    assert covered(found)


@pytest.mark.calibration
@pytest.mark.parametrize("sd", [0.3, 0.6, 1.2])
@pytest.mark.parametrize("n", SEEDS)
def test_place_where_no_quadratic_fits(n, sd, calibration_results):
    chosen, curve = wrongly_supported(n, sd, SETS)
    found = calibration_results.add(
        CHOSEN,
        measures=(place,),
        kind="error",
        case=f"no quadratic, sd {sd:g}; by the quadratic alone {curve:.2f}",
        n=n,
        nominal=0.05,
        rate=chosen,
        sets=SETS,
        exact=True,
    )
    assert held(found)


@pytest.mark.calibration
@pytest.mark.parametrize(
    ("best", "sd", "law"),
    [
        (5.0, 0.5, "normal"),
        (4.0, 2.0, "normal"),
        (6.5, 1.0, "normal"),
        (5.0, 0.5, "skewed"),
        (4.0, 2.0, "skewed"),
    ],
)
@pytest.mark.parametrize("n", SEEDS)
def test_place_of_a_maximum(n, best, sd, law, calibration_results):
    rng, inside, low, high = np.random.default_rng([n, int(10 * best), len(law)]), 0, 0, 0
    for _ in range(SETS):
        y = -0.1 * (X - best) ** 2 + sd * (standard(rng, (n, 1), law) + standard(rng, (n, 9), law))
        test = quadratic_argmax(X, y, (best,), candidates=101)
        above, below = test.p_above(best), test.p_below(best)
        inside += above > TAIL and below > TAIL
        low, high = low + (above <= 0.05), high + (below <= 0.05)
    about = {
        "measures": (quadratic_argmax,),
        "case": f"{law} values, maximum at {best:g} of 0 to 8, sd {sd:g}",
        "n": n,
        "sets": SETS,
        "exact": law == "normal",
    }
    kept = calibration_results.add(FIELLER, kind="coverage", nominal=LEVEL, rate=inside / SETS, **about)
    error = calibration_results.add(FIELLER, kind="error", nominal=0.05, rate=max(low, high) / SETS, **about)
    assert covered(kept)
    assert held(error, slack=0.0 if law == "normal" else 0.03)


@pytest.mark.calibration
@pytest.mark.parametrize(("ratio", "sd"), [(1.0, 0.05), (4.0, 0.02), (9.0, 0.05)])
@pytest.mark.parametrize("n", SEEDS)
def test_share_of_the_worlds(n, sd, ratio, calibration_results):
    rng, inside = np.random.default_rng([n, int(ratio), int(100 * sd)]), 0
    worlds, designs = np.sqrt(ratio) * np.array([-0.1, 0, 0.1]), np.array([-0.1, 0, 0.1])
    for _ in range(SETS):
        noise = sd * (rng.standard_normal((n, 3, 3)) + rng.standard_normal((n, 1, 1)))
        test = shares.log_variance_ratio(worlds[None, :, None] + designs[None, None, :] + noise)
        low, high = test.interval(TAIL)
        inside += low <= np.log(ratio) <= high
    kept = calibration_results.add(
        SHARE,
        measures=(shares.log_variance_ratio,),
        kind="coverage",
        case=f"ratio of variances {ratio:g}, noise {sd:g}",
        n=n,
        nominal=LEVEL,
        rate=inside / SETS,
        sets=SETS,
        exact=False,
    )
    assert covered(kept)

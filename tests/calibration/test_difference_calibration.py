"""Differences of means, equivalence, slopes: t methods, exact for normal values, approximate for others."""

import numpy as np
import pytest
from calibration.laws import LEVEL, SEEDS, SETS, TAIL, covered, held, pairs, standard

from analysis.inference.inversion import t_tails
from analysis.inference.ladder import line, slopes
from analysis.inference.means import contrast, mean_of, over_items_too, paired_difference, welch_difference

DRAWS = 4_000
MARGIN = 0.02
LAWS = ("normal", "skewed", "heavy")
X = np.log2([1.0, 4.0, 16.0, 64.0])


def paired(rng, n, law):
    a, b = pairs(rng, n, 0.5, law)
    return paired_difference(0.3 + 0.02 * a, 0.28 + 0.03 * b), 0.02


def welch(rng, n, law):
    a, b = standard(rng, (2, n), law)
    return welch_difference(0.3 + 0.02 * a, 0.28 + 0.04 * b), 0.02


def three_groups(rng, n, law):
    a, b, c = standard(rng, (3, n), law)
    return contrast([0.02 * a, 0.1 + 0.04 * b, 0.2 + 0.01 * c], [-1.0, 0.5, 0.5]), 0.15


def trend(rng, n, law):
    y = 0.4 + 0.01 * X + 0.03 * standard(rng, (n, 1), law) + 0.01 * standard(rng, (n, X.size), law)
    return mean_of(slopes(X, y)), 0.01


def dose(rng, n, law):
    at = np.linspace(-4, 0, n)
    return line(at, 0.02 * at + 0.03 * standard(rng, n, law)), 0.02


def restricted(rng, n, law):
    """Rounds saved up to a horizon of 60, about a quarter of the slow runs censored; truth by large numbers."""
    a, b = pairs(rng, n, 0.5, law)
    slow, fast = np.minimum(45 * np.exp(0.4 * a), 60), np.minimum(25 * np.exp(0.4 * b), 60)
    return paired_difference(slow, fast), RESTRICTED[law]


def _restricted_truth(law):
    a, b = standard(np.random.default_rng(1), (2, 4_000_000), law)
    a = np.sqrt(0.75) * a + 0.5 * b
    return float((np.minimum(45 * np.exp(0.4 * a), 60) - np.minimum(25 * np.exp(0.4 * b), 60)).mean())


RESTRICTED = {}
METHODS = {
    "Paired t interval of a difference": (paired, (paired_difference,)),
    "Welch interval of a difference": (welch, (welch_difference,)),
    "Welch-Satterthwaite interval of a contrast": (three_groups, (contrast,)),
    "t interval of a slope over conditions, seed by seed": (trend, (slopes, mean_of)),
    "t interval of a slope over units": (dose, (line,)),
    "t interval of rounds saved (restricted mean)": (restricted, (paired_difference,)),
}


def rate(draw, n, law, sets):
    rng, inside = np.random.default_rng([n, sets, len(law)]), 0
    for _ in range(sets):
        found, truth = draw(rng, n, law)
        low, high = found.interval(TAIL)
        inside += low <= truth <= high
    return inside / sets


@pytest.mark.parametrize("name", [m for m in METHODS if "saved" not in m])
def test_intervals_cover_normal_values(name):
    draw, _ = METHODS[name]
    assert rate(draw, 8, "normal", 500) >= LEVEL - 3 * np.sqrt(LEVEL * (1 - LEVEL) / 500)


@pytest.mark.calibration
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("n", SEEDS)
@pytest.mark.parametrize("name", METHODS)
def test_difference(name, n, law, calibration_results):
    draw, measures = METHODS[name]
    if draw is restricted and law not in RESTRICTED:
        RESTRICTED[law] = _restricted_truth(law)
    kept = calibration_results.add(
        name,
        measures=measures,
        kind="coverage",
        case=f"{law} values",
        n=n,
        nominal=LEVEL,
        rate=rate(draw, n, law, DRAWS),
        sets=DRAWS,
        exact=law == "normal" and draw in (paired, trend, dose),
    )
    assert covered(kept)


@pytest.mark.calibration
@pytest.mark.parametrize("edge", [-MARGIN, MARGIN])
@pytest.mark.parametrize("n", SEEDS)
@pytest.mark.parametrize("kind", ["Paired", "Welch"])
def test_equivalence_at_the_edge(kind, n, edge, calibration_results):
    compare = paired_difference if kind == "Paired" else welch_difference
    rng, shown = np.random.default_rng([n, int(edge > 0)]), 0
    for _ in range(DRAWS):
        a, b = rng.normal(edge, 0.004, n), rng.normal(0, 0.003, n)
        shown += compare(a, b).p_inside(MARGIN) <= 0.05
    kept = calibration_results.add(
        f"{kind} TOST at the margin's edge",
        measures=(compare,),
        kind="error",
        case=f"difference {edge:+g}, margin {MARGIN:g}",
        n=n,
        nominal=0.05,
        rate=shown / DRAWS,
        sets=DRAWS,
        exact=kind == "Paired",
    )
    assert held(kept)


SKEWED = {  # values of mean 0 and skewness .49, and of less and more
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "gamma, skewness .49": lambda rng, shape: rng.gamma(4 / 0.49**2, 1.0, shape) - 4 / 0.49**2,
    "log-normal, skewness .49": lambda rng, shape: np.exp(0.16087 * rng.standard_normal(shape)) - SHIFT,
    "beta, skewness .49": lambda rng, shape: rng.beta(2.75, 6.36, shape) - 2.75 / 9.11,
    "gamma, skewness 1": lambda rng, shape: rng.gamma(4.0, 1.0, shape) - 4.0,
}
SHIFT = np.exp(0.16087**2 / 2)
ONE_SIDED = 200_000


@pytest.mark.calibration
@pytest.mark.parametrize("nominal", [0.05, 0.01])
@pytest.mark.parametrize("law", SKEWED)
@pytest.mark.parametrize("n", SEEDS)
def test_one_sided_t_of_skewed_values(n, law, nominal, calibration_results):
    """Both sides; the reading beyond the skewness that is allowed for is shown, not tested."""
    both = np.array(t_tails(SKEWED[law](np.random.default_rng([n, len(law)]), (ONE_SIDED, n))))
    beyond = law.endswith("skewness 1")
    kept = calibration_results.add(
        "One-sided t test of a mean",
        measures=(t_tails,),
        kind="error",
        case=f"{law}, the worse side",
        n=n,
        nominal=nominal,
        rate=float((both <= nominal).mean(axis=1).max()),
        sets=ONE_SIDED,
        exact=False,
        refused="more skewed than the bounds allow for" if beyond else None,
    )
    assert beyond or kept.rate <= nominal + 2 * kept.error


@pytest.mark.calibration
@pytest.mark.parametrize("items", [40, 200])
@pytest.mark.parametrize("n", SEEDS)
def test_runs_and_items_as_samples(n, items, calibration_results):
    """Crossed effects of run and item on a difference of Pass@1 and four answers to each item."""
    rng, inside = np.random.default_rng([n, items]), 0
    for _ in range(SETS):
        of_item, of_run = 0.06 * rng.standard_normal(items), 0.01 * rng.standard_normal((n, 1))
        base = rng.beta(1.0, 2.0, items)
        lower, upper = (np.clip(base + shift, 0, 1) for shift in (0.0, 0.05 + of_item + of_run))
        a = rng.binomial(4, np.broadcast_to(lower, (n, items))) / 4
        b = rng.binomial(4, upper) / 4
        truth = TRUTH[items] if items in TRUTH else TRUTH.setdefault(items, _population())
        low, high = over_items_too(
            paired_difference(b.mean(axis=1), a.mean(axis=1)), (b - a).mean(axis=0)
        ).interval(TAIL)
        inside += low <= truth <= high
    kept = calibration_results.add(
        "t interval over runs and test items",
        measures=(paired_difference, over_items_too),
        kind="coverage",
        case=f"{items} items",
        n=n,
        nominal=LEVEL,
        rate=inside / SETS,
        sets=SETS,
        exact=False,
    )
    assert covered(kept)


TRUTH = {}


def _population():
    rng = np.random.default_rng(2)
    base, of_item, of_run = rng.beta(1.0, 2.0, 4_000_000), *rng.standard_normal((2, 4_000_000))
    return float((np.clip(base + 0.05 + 0.06 * of_item + 0.01 * of_run, 0, 1) - base).mean())

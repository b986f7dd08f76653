"""Along a ladder of conditions: Fieller's maximum, and the worlds' share of the variance."""

import numpy as np
import pytest
from calibration.laws import LEVEL, SEEDS, SETS, TAIL, covered, held, standard

from analysis.inference import shares
from analysis.inference.slopes import quadratic_argmax

X = np.arange(9.0)
FIELLER = "Fieller's interval of the maximum of a quadratic"
SHARE = "Jackknife of the worlds' share of variance"


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
        "modules": ("analysis.inference.slopes",),
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
        modules=("analysis.inference.shares",),
        kind="coverage",
        case=f"ratio of variances {ratio:g}, noise {sd:g}",
        n=n,
        nominal=LEVEL,
        rate=inside / SETS,
        sets=SETS,
        exact=False,
    )
    assert covered(kept)
